"""What a deterministic diagnostician does, step by step, without a model.

A *procedure* is a generator. It yields a `Step` (one shell command and why it is run), is sent what
that command `Printed`, and returns a `Conclusion`. It sees the ticket's text and what its commands
print, and nothing else: no fault names, no lab internals. A subject may bring one; the `runbook` brain
plays it over the Messages API, so that it passes through the same loop, budget and audit as a model.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One command to run and the reason for it."""

    command: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class Printed:
    """What the operator was shown of a command: its exit code (None if it timed out) and its output."""

    exit_code: int | None
    output: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A cause that was considered, and what spoke against it."""

    cause: str
    why: str


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the operator claims at the end. `outcome` is one of `resolved`, `escalated`, `no_action_needed`.

    `kind` is a value of `operatorlab.subject.FaultKind`; `confidence` lies between 0 and 1; `spread` says
    whose trouble became whose: (cause, effect).
    """

    outcome: str
    blamed: tuple[str, ...]
    kind: str
    mechanism: str
    confidence: float
    changed: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    follow_ups: tuple[str, ...] = ()
    spread: tuple[tuple[str, str], ...] = ()


Procedure = Callable[[str], Generator[Step, Printed, Conclusion]]
"""Called with the incident's text (the first user message); may be run again from the start at any time."""
