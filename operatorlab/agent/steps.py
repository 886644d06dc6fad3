"""What a session does, step by step, for whoever wants to follow it live. The audit does not depend on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from operatorlab.clock import Instant


class StepKind(StrEnum):
    """Kinds of steps, in the order in which they usually come."""

    THOUGHT = "thought"
    COMMAND = "command"
    RESULT = "result"
    REPORT = "report"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a session. Its texts come from models and commands: escape them where they are shown.

    `text` is the thought, the command, the output as the model was shown it, the report's mechanism or the outcome.
    `exit_code` of a result is None if the command was ended for taking too long.
    """

    kind: StepKind
    session: str
    at: Instant
    text: str
    reasoning: str = ""
    command_id: str | None = None
    exit_code: int | None = None
    duration_s: float | None = None


OnStep = Callable[[Step], None]
"""Called in the session's own task: keep it short. What it raises ends the session."""
