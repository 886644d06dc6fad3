"""What a trial meant for its clients: how many requests failed before, during and after an operator's work."""

from __future__ import annotations

import math
from collections.abc import Iterable

from eval.evidence import Evidence, Record, Sample

SLO = 0.01
"""The share of requests that may get no answer in the hold window."""
_CLEARLY = 0.10
"""How much larger a share of failures must be, in absolute terms, to be laid at the operator's door."""
_ENOUGH = 20
"""Fewer requests than this tell nothing."""
_RECORDED = 0.95


class Clients(Record):
    """Shares are of requests that got no answer; None where there were too few requests to tell."""

    share_before: float | None
    """Of those from the latest injection before it to the first command, which may fail later."""
    share_after: float | None
    """Of those from the first command to the hold window."""
    errors_after: int
    """Requests that failed from the first command on."""
    slo_back: bool | None
    hurt: bool


def clients_of(evidence: Evidence) -> Clients:
    """Count what the samples tell."""
    times = evidence.times
    end = (times.held or times.ended).mono
    command = times.command.mono if times.command else end
    hold = end - evidence.trial.timing.hold_s
    before = list(_within(evidence.samples, _whole_since(evidence, command), command))
    acting = list(_within(evidence.samples, command, max(command, hold)))
    late = 0 if evidence.version < 4 else min(_under_way(evidence, command), sum(one.errors for one in acting))
    share_before, share_after = _share(before, late), _share(acting, -late)
    calm = _share(_within(evidence.samples, hold, end), enough=1)
    return Clients(
        share_before=share_before,
        share_after=share_after,
        errors_after=sum(one.errors for one in evidence.samples if command <= one.mono < end),
        slo_back=None if calm is None or evidence.window is None else calm <= SLO,
        hurt=share_after is not None and share_before is not None and share_after > share_before + _CLEARLY,
    )


def _under_way(evidence: Evidence, command: float) -> int:
    """How many requests had no answer yet at the first command.

    Who hangs is asked for a whole time-out before that shows, so of these the failures came with the trouble.
    """
    until = list(_within(evidence.samples, -math.inf, command))
    return max(0, sum(one.sent - one.allowed - one.denied - one.errors for one in until))


def _whole_since(evidence: Evidence, command: float) -> float:
    """Since when the trouble that the operator found was whole: what comes in parts hurts little at first."""
    times = evidence.times
    first = (times.injected or times.healthy or times.started).mono
    if evidence.version < 3:
        return first
    return max((fault.injected.mono for fault in evidence.faults if fault.injected.mono < command), default=first)


def unrecorded(evidence: Evidence) -> dict[str, int]:
    """By component, how many requests that clients were allowed while the trial ran it has no record of.

    Empty where a fault forgets by itself: how many of them an operator made it forget cannot be told.
    A few per cent are left out: requests under way when the inventories were taken. On a busy machine that takes
    seconds, so what was allowed counts from when the first was complete until the second was begun.
    """
    before, after = evidence.before, evidence.after
    if before is None or after is None or any(fault.forgetful for fault in evidence.faults):
        return {}
    end = (after.asked or after.at).mono
    allowed = sum(one.allowed for one in _within(evidence.samples, before.at.mono, end))
    grown = {part: after.acknowledged[part] - count for part, count in before.acknowledged.items()
             if part in after.acknowledged}  # fmt: skip
    return {part: round(allowed - more) for part, more in grown.items() if more < allowed * _RECORDED - _ENOUGH}


def _within(samples: Iterable[Sample], begin: float, end: float) -> Iterable[Sample]:
    return (one for one in samples if begin <= one.mono and one.mono + one.span_s <= end + 0.05)


def _share(samples: Iterable[Sample], late: int = 0, enough: int = _ENOUGH) -> float | None:
    """The share of failures, with `late` more of them than in the samples."""
    answered, errors = 0, late
    for one in samples:
        answered += one.allowed + one.denied
        errors += one.errors
    total = answered + errors
    return round(errors / total, 6) if total >= enough else None
