"""A shell inside a lab's boundary: it sees the lab and a read-only system, and nothing else of this machine."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from operatorlab.sandbox.base import ExecResult, SandboxGone
from operatorlab.sandbox.local import KEPT_BYTES, LocalSandbox, shell, signal_group


class Within(Protocol):
    """The inside of a boundary."""

    @property
    def root(self) -> Path:
        """The folder that commands work in, as it is called inside."""
        ...

    @property
    def alive(self) -> bool: ...

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` inside. OSError if there is no inside."""
        ...

    def signal(self, session: int, number: int) -> bool:
        """Signal every process inside that is in a session of this side; False if there is none."""
        ...


class NamespaceSandbox(LocalSandbox):
    """Runs commands within `inside`, with nothing but `environment`."""

    isolated = True

    def __init__(self, inside: Within, environment: Mapping[str, str], *, kept_bytes: int = KEPT_BYTES) -> None:
        super().__init__(Path("/"), environment, kept_bytes=kept_bytes)
        self._inside = inside

    def __repr__(self) -> str:
        return f"<NamespaceSandbox {self._inside!r}>"

    async def exec(self, command: str, timeout_s: float) -> ExecResult:
        """Run `command` by bash for at most `timeout_s` seconds; see `Sandbox.exec`."""
        result = await super().exec(command, timeout_s)
        if not self._inside.alive:
            raise SandboxGone(f"the boundary ended, and all within it; the last command said: {result.stderr[-500:]}")
        return result

    def _argv(self, command: str, timeout_s: float) -> Sequence[str]:
        try:
            return self._inside.enter(shell("/bin/bash", "/usr/bin/timeout", command, timeout_s))
        except OSError as trouble:
            raise SandboxGone(str(trouble)) from trouble

    def _signal(self, leader: int, number: int) -> bool:
        """Those inside, if there are any: the leader is outside, waits for them, and tells how they ended."""
        if number == signal.SIGKILL:  # the leader first here: it may be about to start what is inside
            led = signal_group(leader, number)
            return self._inside.signal(leader, number) or led
        return self._inside.signal(leader, number) or signal_group(leader, number)
