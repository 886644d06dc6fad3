"""Is a key held below what was declared for it?

Redis says which limit is in force for each declared key. A limit below the declared one turns requests away
that were promised to pass, whether or not anybody sends them now. So does a request that somebody counted with a
time that has not come yet: it is in every window until a window after that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from operatorlab.subject import Finding, Invariant, Observation, Undecided, Violation
from subjects.ratelimiter.limits import DECLARED, WINDOW_S
from subjects.ratelimiter.observer.readings import KeyWindow, Readings

_AHEAD_S = 0.1
"""So far the clocks of well-kept machines do not differ."""


def _check_over_blocking(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    redis = Readings.of(history[-1]).redis
    for key, declared in DECLARED.items():
        if redis is None:
            yield Undecided(rule.name, key, "the limit in force was not seen")
        elif message := _held_back(key, declared, now := redis.keys[key]):
            evidence = {"in_force": now.limit, "declared": declared, "ahead_s": now.ahead_s}
            yield Violation(rule.name, key, message, rule.severity, evidence)


def _held_back(key: str, declared: int, now: KeyWindow) -> str:
    """What holds the key back; empty if nothing does."""
    if now.limit < declared:
        return f"{key} may send {now.limit} requests in {WINDOW_S:g} s, {declared} were declared"
    if now.ahead_s > _AHEAD_S:
        return f"requests of {key} are counted {now.ahead_s:.1f} s ahead of the clock of Redis, and until after that"
    return ""


OVER_BLOCKING = Invariant(
    name="over_blocking",
    description="No key is held below the limit that was declared for it.",
    check=_check_over_blocking,
    grace_s=0.5,
    unit="requests",
)
