"""What a lab inside a boundary writes down of it, so that any process can find it again."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from operatorlab.deploy import proc


class Confined(BaseModel):
    """The boundary of one lab; part of its record. `*_ticks` are the kernel's, and name a process with its pid."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """`root`: it has a user id of its own; `user`: it has a user namespace."""
    owner: int
    """The user id of everything inside, as seen from outside."""
    groups: tuple[Path, ...] = ()
    """Its control groups."""
    init_pid: int = 0
    init_ticks: int = 0
    ingress_pid: int = 0
    ingress_ticks: int = 0

    @property
    def alive(self) -> bool:
        """Whether its first process lives, and with it the namespaces."""
        return bool(self.init_pid) and proc.ticks(self.init_pid) == self.init_ticks and proc.inner(self.init_pid) == 1

    @property
    def forwards(self) -> bool:
        """Whether what lets its clients in lives."""
        return bool(self.ingress_pid) and proc.ticks(self.ingress_pid) == self.ingress_ticks

    def pids(self) -> list[int]:
        """Every process inside; none if the first one is gone, for then the kernel has ended them all."""
        if not self.alive:
            return []
        namespace = proc.pid_namespace(self.init_pid)
        found = proc.within(namespace) if namespace else []
        # If it ended meanwhile, the namespace's number may be another's.
        return found if proc.ticks(self.init_pid) == self.init_ticks else []
