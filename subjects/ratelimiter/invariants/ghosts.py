"""Is a key allowed more than was declared for it?

Seen in two ways. Redis holds what every declared key was allowed in the window that ends now. And the
observer's own checks on the canary key see what the nodes really answer, also when they answer without
Redis: of checks that were sent and answered within less than one window, no more than the limit may pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from operatorlab.subject import Finding, Invariant, Observation, Undecided, Violation
from subjects.ratelimiter.limits import CANARY, DECLARED, WINDOW_S
from subjects.ratelimiter.observer.readings import CanaryCheck, KeyWindow, Readings

_SURELY_ONE_WINDOW_S = 0.95 * WINDOW_S
"""Checks that all lie within this long lie in one window of Redis' clock too, which may run a little differently."""
_CANARY_MEMORY_S = 1.5 * WINDOW_S
"""How far back canary checks are looked at together."""


def _check_ghost_allowing(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    seen = [Readings.of(observation) for observation in history]
    since = history[-1].monotonic - _CANARY_MEMORY_S
    caught = _caught_by_canary([c for readings in seen for c in readings.canary if c.sent >= since], rule)
    for key in DECLARED:
        windows = [readings.redis.keys[key] for readings in seen if readings.redis]
        if seen[-1].redis and (counted := _counted(rule, key, windows)):
            yield counted
        elif key == CANARY and caught:
            yield caught
        elif seen[-1].redis is None:
            yield Undecided(rule.name, key, "what Redis counted for it was not seen")
        elif key == CANARY and not _put_to_the_test(seen[-1].canary):
            yield Undecided(rule.name, key, "too few canary checks were answered to reach the limit")


def _counted(rule: Invariant, key: str, windows: Sequence[KeyWindow]) -> Violation | None:
    """More was allowed than declared: now, or lately under a limit that still allows it.

    Clients do not come evenly; while the limit stays raised, a quiet second is no repair.
    """
    declared, now = DECLARED[key], windows[-1]
    most = max(window.allowed for window in windows) if now.limit > declared else now.allowed
    if most <= declared:
        return None
    message = (
        f"{key} was allowed {most} requests in {WINDOW_S:g} s, {declared} were declared; "
        f"the limit in force is {now.limit}"
    )
    evidence = {"allowed": most, "declared": declared, "in_force": now.limit, "seen_by": "redis"}
    return Violation(rule.name, key, message, rule.severity, evidence)


def _caught_by_canary(checks: Sequence[CanaryCheck], rule: Invariant) -> Violation | None:
    """More canary checks passed within one window than were declared, whatever Redis counted."""
    declared = DECLARED[CANARY]
    passed = _most_passed(checks)
    allowed = _weight(passed)
    if allowed <= declared:
        return None
    nodes = sorted({check.node for check in passed})
    message = (
        f"{CANARY} was allowed {allowed} requests within {_SURELY_ONE_WINDOW_S:g} s by {', '.join(nodes)}, "
        f"{declared} were declared"
    )
    evidence = {"allowed": allowed, "declared": declared, "nodes": nodes, "seen_by": "canary"}
    return Violation(rule.name, CANARY, message, rule.severity, evidence)


def _most_passed(checks: Sequence[CanaryCheck]) -> list[CanaryCheck]:
    """The weightiest set of allowed checks that surely lie within one window."""
    allowed = [check for check in checks if check.allowed]
    together = (
        [c for c in allowed if c.sent >= first.sent and c.answered < first.sent + _SURELY_ONE_WINDOW_S]
        for first in allowed
    )
    return max(together, key=_weight, default=[])


def _put_to_the_test(checks: Sequence[CanaryCheck]) -> bool:
    return _weight([check for check in checks if check.allowed is not None]) > DECLARED[CANARY]


def _weight(checks: Sequence[CanaryCheck]) -> int:
    return sum(check.cost for check in checks)


GHOST_ALLOWING = Invariant(
    name="ghost_allowing",
    description="No key is allowed more requests in a window than was declared for it, whatever limit is in force.",
    check=_check_ghost_allowing,
    grace_s=0.5,
    window_s=5.0,
    unit="requests",
)
