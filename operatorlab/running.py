"""How a subject runs: what it asks for, and what whoever brought it up can do. Part of the contract of `subject.py`.

    Subject ── blueprint(site) ──▶ Blueprint: processes, and the links between them
    Deployment: what observers and faults may use of a subject that was brought up, whatever runs it

Standard library only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

PROCESSES, COMPOSE = "processes", "compose"
DEPLOYMENTS = (PROCESSES, COMPOSE)
"""How a subject can be brought up."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a deployment of processes lives. `ports` are loopback ports by the names the subject asked for.

    Below `root`: `etc/` configuration, `data/<process>/`, `log/`, `bin/` tools. The operator works in it.
    """

    run_id: str
    root: Path
    ports: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Process:
    """One process to run: its command line, its environment and the order it starts in (lowest first)."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    order: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A network path that can be cut: `source` reaches `target` by connecting to the port `listen`.

    `listen` and `upstream` are port names of the site.
    """

    source: str
    target: str
    listen: str
    upstream: str


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What to run for a subject: processes, the links between them, and files by path below `Site.root`."""

    processes: tuple[Process, ...]
    links: tuple[Link, ...] = ()
    files: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class MemberState(StrEnum):
    """How a member's process stands, from the one who runs it."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class Deployment(Protocol):
    """A subject that was brought up: what observers and faults may use, whatever runs it.

    Members are named as in `Subject.members`; an unknown name raises `operatorlab.errors.UnknownName`.
    """

    @property
    def run_id(self) -> str: ...

    @property
    def kind(self) -> str:
        """How the subject was brought up: `processes` or `compose`."""
        ...

    def address(self, member: str) -> tuple[str, int]:
        """Host and port of a member on the loopback interface, past any link.

        A forwarder may stand between: being connected says nothing, only an answer does.
        """
        ...

    def inside(self, member: str) -> tuple[str, int]:
        """Host and port of a member as the operator reaches it, past any link."""
        ...

    async def trouble(self) -> str:
        """Why nothing can be said of the members now, such as a Docker daemon that is away; else empty."""
        ...

    async def state(self, member: str) -> MemberState: ...

    async def start(self, member: str) -> None:
        """Start it if it is stopped; resume it if it is paused."""
        ...

    async def stop(self, member: str) -> None:
        """Ask it to end, and make it."""
        ...

    async def kill(self, member: str) -> None:
        """End it at once, with no chance to clean up (SIGKILL). It is not restarted."""
        ...

    async def pause(self, member: str) -> None:
        """Freeze it (SIGSTOP): it keeps its sockets and answers nothing."""
        ...

    async def resume(self, member: str) -> None: ...

    async def cut(self, source: str, target: str) -> None:
        """Let nothing pass from `source` to `target` or back, silently."""
        ...

    async def delay(self, source: str, target: str, delay_s: float) -> None:
        """Hold every byte between `source` and `target` back by `delay_s`, each way."""
        ...

    async def delay_of(self, source: str, target: str) -> float:
        """The delay in force between two members, seconds each way."""
        ...

    async def mend(self, source: str, target: str) -> None:
        """Let everything pass again at once."""
        ...

    async def is_cut(self, source: str, target: str) -> bool: ...

    async def run(self, member: str, *argv: str) -> tuple[int, str]:
        """Run a program where a member runs; its exit code and everything it printed.

        That is in its container, or in the lab's folder, as the lab's own user. What it leaves running is the
        lab's, and ends with a reset.
        """
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened to a member: a reason to look at once, never a verdict. `what` is for people."""

    member: str
    what: str


@runtime_checkable
class Announces(Protocol):
    """What a deployment or an observer may do besides: notice some changes by itself, such as a process that ended.

    Nobody has to: a monitor looks at its interval, and sooner where a change is announced. What is announced is
    what whoever runs the members knows (a supervisor, a daemon, the kernel), or what a connection that is kept
    open tells; a change that is missed or announced twice does no harm.
    """

    def changes(self) -> AsyncIterator[Change]:
        """The changes from now on, without an end. Raises where they can no longer be told; it may be asked again."""
        ...


class ContainerDeployment(Deployment, Protocol):
    """What a deployment of containers can do besides, for faults that exist only there.

    A path between two members that has a link is broken where the link is.
    """

    async def disconnect(self, member: str) -> None:
        """Take it off the lab's network; it runs on."""
        ...

    async def connect(self, member: str) -> None:
        """Put it back, under its name; where it is connected that is no trouble."""
        ...

    async def connected(self, member: str) -> bool: ...

    async def drop(self, source: str, target: str, *, one_way: bool = False, share: float = 1.0) -> None:
        """Lose a share of the packets between two members; `one_way` loses only what comes back to `source`."""
        ...

    async def dropping(self, source: str, target: str) -> bool: ...

    async def deliver(self, source: str, target: str) -> None:
        """Lose no more packets between two members."""
        ...

    async def limit(self, member: str, *, cpus: float | None = None, memory: int | None = None) -> None:
        """Let it have so many processors, or so many bytes of memory, from now on."""
        ...

    async def limited(self, member: str) -> bool:
        """Whether it has less than it came up with."""
        ...

    async def lift(self, member: str) -> None:
        """Let it have what it came up with."""
        ...

    async def attempt(self, member: str) -> None:
        """Start it, and do not wait for it to come up."""
        ...

    async def ended(self, member: str, within_s: float) -> bool:
        """Wait until it has ended, so long at most; whether it has."""
        ...

    async def roll_out(self, member: str, environment: Mapping[str, str]) -> None:
        """Make it anew with these variables besides those it came up with; none: as it came up. Not waited for."""
        ...

    async def rolled_out(self, member: str) -> Mapping[str, str]:
        """The variables it was made with that it did not come up with; none where it was removed."""
        ...
