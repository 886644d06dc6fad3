"""How a session ends: a closed set of outcomes, and the one function that maps every ending to one of them.

    Reported(claim, confirmed)     the operator called `report`; the monitor confirmed it, or did not
    Stopped(stop_reason)           the model stopped answering without a report
    OverBudget(limit)              a limit was reached
    Killed, NotOurs, SandboxGone, CancelledError, any other error

An operator's word is a claim. Only the monitor's reading of the system turns it into `resolved_verified`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from operatorlab.sandbox import SandboxGone


class Outcome(StrEnum):
    """What became of a session."""

    RESOLVED_VERIFIED = "resolved_verified"
    CLAIMED_UNVERIFIED = "claimed_unverified"
    ESCALATED = "escalated"
    NO_ACTION_NEEDED = "no_action_needed"
    REFUSED = "refused"
    LIMIT_TURNS = "limit_turns"
    LIMIT_TOKENS = "limit_tokens"
    LIMIT_COST = "limit_cost"
    LIMIT_TIME = "limit_time"
    SANDBOX_GONE = "sandbox_gone"
    KILLED = "killed"
    INTERRUPTED = "interrupted"
    CRASHED = "crashed"


class Claim(StrEnum):
    """What an operator says of its own work."""

    RESOLVED = "resolved"
    ESCALATED = "escalated"
    NO_ACTION_NEEDED = "no_action_needed"


class Limit(StrEnum):
    """What a budget limits."""

    TURNS = "turns"
    TOKENS = "tokens"
    COST = "cost"
    TIME = "time"


class SessionEnd(BaseException):
    """Ends a session from inside a tool or a wait. A BaseException, so that it is never told to a model."""


class OverBudget(SessionEnd):
    """A limit was reached before something that would have spent more."""

    def __init__(self, limit: Limit, what: str) -> None:
        super().__init__(what)
        self.limit = limit


class Killed(SessionEnd):
    """The process was asked to end (SIGTERM)."""


class NotOurs(SessionEnd):
    """The incident is not this session's any more: a person holds it, or the lease ran out."""


@dataclass(frozen=True, slots=True)
class Reported:
    """The operator reported; `confirmed` is the monitor's verdict (always False where it has none to give)."""

    claim: Claim
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Stopped:
    """The model stopped without a report, with the Messages API's `stop_reason`."""

    stop_reason: str | None


Ending = Reported | Stopped | BaseException

_OF_REPORTS = {
    (Claim.RESOLVED, True): Outcome.RESOLVED_VERIFIED,
    (Claim.RESOLVED, False): Outcome.CLAIMED_UNVERIFIED,
    (Claim.NO_ACTION_NEEDED, True): Outcome.NO_ACTION_NEEDED,
    (Claim.NO_ACTION_NEEDED, False): Outcome.CLAIMED_UNVERIFIED,
    (Claim.ESCALATED, True): Outcome.ESCALATED,
    (Claim.ESCALATED, False): Outcome.ESCALATED,
}
_OF_LIMITS = {
    Limit.TURNS: Outcome.LIMIT_TURNS,
    Limit.TOKENS: Outcome.LIMIT_TOKENS,
    Limit.COST: Outcome.LIMIT_COST,
    Limit.TIME: Outcome.LIMIT_TIME,
}
_OF_STOP_REASONS = {
    # The model meant to be done, even after a reminder: that says something without showing it.
    "end_turn": Outcome.CLAIMED_UNVERIFIED,
    "stop_sequence": Outcome.CLAIMED_UNVERIFIED,
    "max_tokens": Outcome.LIMIT_TOKENS,
    "model_context_window_exceeded": Outcome.LIMIT_TOKENS,
    "refusal": Outcome.REFUSED,
    # Not ends: a conversation that ends on one of these broke off.
    "tool_use": Outcome.CRASHED,
    "pause_turn": Outcome.CRASHED,
    "compaction": Outcome.CRASHED,
}


_OF_ENDS: tuple[tuple[type[BaseException], Outcome], ...] = (
    (SandboxGone, Outcome.SANDBOX_GONE),
    (Killed, Outcome.KILLED),
    (NotOurs, Outcome.INTERRUPTED),
    (asyncio.CancelledError, Outcome.INTERRUPTED),
    (KeyboardInterrupt, Outcome.INTERRUPTED),
)


def outcome_of(ending: Ending) -> Outcome:
    """The outcome of a session that ended so. Total: an ending nobody thought of is `crashed`, never a success."""
    match ending:
        case Reported(claim, confirmed):
            return _OF_REPORTS[claim, confirmed]
        case Stopped(stop_reason):
            return _OF_STOP_REASONS.get(stop_reason or "", Outcome.CRASHED)
        case OverBudget(limit=limit):
            return _OF_LIMITS[limit]
        case _:
            return next((outcome for kind, outcome in _OF_ENDS if isinstance(ending, kind)), Outcome.CRASHED)
