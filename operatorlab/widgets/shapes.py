"""What panels and HTML need of the lab's objects, and no more.

Anything with these attributes can be shown: the lab's own objects, or values read back from the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from operatorlab.clock import Instant
from operatorlab.subject import Observation, Subject


class TicketLike(Protocol):
    """What is shown of a ticket."""

    @property
    def id(self) -> str: ...
    @property
    def invariant(self) -> str: ...
    @property
    def component(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def message(self) -> str: ...


class StepLike(Protocol):
    """What is shown of one step of a session; `kind` is thought, command, result, report or outcome."""

    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def command_id(self) -> str | None: ...
    @property
    def exit_code(self) -> int | None: ...
    @property
    def duration_s(self) -> float | None: ...


class SessionLike(Protocol):
    """What is shown of a session's end; `report` is a pydantic model, a mapping or None."""

    @property
    def session_id(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def report(self) -> object: ...
    @property
    def turns(self) -> int: ...
    @property
    def cost_usd(self) -> float: ...


class FaultLike(Protocol):
    """What is shown of an injected fault."""

    @property
    def name(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def at(self) -> Instant: ...


class CycleLike(Protocol):
    """One turn of the monitor."""

    @property
    def observation(self) -> Observation: ...


class MonitorLike(Protocol):
    """Whoever observes."""

    @property
    def latest(self) -> CycleLike | None: ...


class RowsLike(Protocol):
    """A `sqlite_utils.Database`, for reading."""

    def query(self, sql: str, params: Any = None) -> Iterable[dict[str, Any]]: ...


class StoreLike(Protocol):
    """The audit store."""

    @property
    def path(self) -> Path: ...
    @property
    def db(self) -> RowsLike: ...


class BoardLike(Protocol):
    """The tickets."""

    def live(self) -> Iterable[TicketLike]: ...


class LabLike(Protocol):
    """What can be watched. `subscribe` calls back with each cycle and each step, and returns how to stop that."""

    @property
    def run_id(self) -> str: ...
    @property
    def subject(self) -> Subject: ...
    @property
    def store(self) -> StoreLike: ...
    @property
    def board(self) -> BoardLike: ...
    @property
    def monitor(self) -> MonitorLike: ...
    def subscribe(self, callback: Callable[[Any], None]) -> Callable[[], None]: ...
