"""Where an operator's commands run, and what comes back from one.

A command that fails, is not found or takes too long is a *result*: an operator learns from it. A
sandbox that is not there any more is `SandboxGone`, which nobody may mistake for the command's output.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Mode(StrEnum):
    """What the boundary lets an operator do."""

    OPERATE = "operate"  # anything, to its own lab
    OBSERVE = "observe"  # look, and touch nothing


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What one command did. `exit_code` is None if it was ended for taking too long.

    `stdout` and `stderr` hold head and tail of what was printed; `dropped_bytes` were left out between
    them. `left_running` tells that something the command started still holds its output.
    """

    exit_code: int | None
    stdout: str
    stderr: str
    duration_s: float
    timed_out: bool = False
    dropped_bytes: int = 0
    left_running: bool = False


class SandboxGone(BaseException):
    """The place where commands run is not there. A BaseException: it ends a session, it is never shown to a model."""


class Sandbox(Protocol):
    """A boundary with a shell in it."""

    @property
    def isolated(self) -> bool:
        """Whether a command in it cannot touch the host beyond the lab."""
        ...

    @property
    def mode(self) -> Mode:
        """What it lets an operator do."""
        ...

    async def exec(self, command: str, timeout_s: float) -> ExecResult:
        """Run `command` by bash for at most `timeout_s` seconds. Raises SandboxGone.

        Cancelling it ends the command and everything in its process group.
        """
        ...

    async def close(self) -> None:
        """Give back what the sandbox holds. Twice is fine."""
        ...
