"""Is a key held below what was declared for it?

Redis says which limit is in force for each declared key. A limit below the declared one turns requests away
that were promised to pass, whether or not anybody sends them now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from operatorlab.subject import Finding, Invariant, Observation, Undecided, Violation
from subjects.ratelimiter.limits import DECLARED, WINDOW_S
from subjects.ratelimiter.observer.readings import Readings


def _check_over_blocking(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    redis = Readings.of(history[-1]).redis
    for key, declared in DECLARED.items():
        if redis is None:
            yield Undecided(rule.name, key, "the limit in force was not seen")
        elif (limit := redis.keys[key].limit) < declared:
            message = f"{key} may send {limit} requests in {WINDOW_S:g} s, {declared} were declared"
            yield Violation(rule.name, key, message, rule.severity, {"in_force": limit, "declared": declared})


OVER_BLOCKING = Invariant(
    name="over_blocking",
    description="No key is held below the limit that was declared for it.",
    check=_check_over_blocking,
    grace_s=0.5,
    unit="requests",
)
