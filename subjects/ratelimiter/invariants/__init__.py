"""The rules that hold while the rate limiter is well. Pure: they see observations and nothing else.

Each is written so that it raises no false alarm even with no grace at all: what a busy machine can feign
(a late answer, one slow second) must show in more than one reading. Where the data a rule needs was not
seen, it is undecided: neither broken nor holding.
"""

from __future__ import annotations

from operatorlab.subject import Invariant
from subjects.ratelimiter.invariants.blindness import OBSERVER_BLIND
from subjects.ratelimiter.invariants.blocking import OVER_BLOCKING
from subjects.ratelimiter.invariants.drift import COUNTER_DRIFT
from subjects.ratelimiter.invariants.ghosts import GHOST_ALLOWING
from subjects.ratelimiter.invariants.latency import HIGH_LATENCY
from subjects.ratelimiter.invariants.members import NODE_DOWN, REDIS_DISCONNECTED
from subjects.ratelimiter.invariants.registry import REGISTRY_MISMATCH

INVARIANTS: tuple[Invariant, ...] = (
    NODE_DOWN,
    REDIS_DISCONNECTED,
    HIGH_LATENCY,
    COUNTER_DRIFT,
    GHOST_ALLOWING,
    OVER_BLOCKING,
    REGISTRY_MISMATCH,
    OBSERVER_BLIND,
)
