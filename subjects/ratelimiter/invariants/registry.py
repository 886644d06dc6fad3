"""Is everybody in the registry a node that there is?

Nodes write their heartbeats into Redis, and whoever reads them there takes them for the cluster. A node that is down
leaves its last one behind, which is no mismatch; one that nobody ever started has no business there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from operatorlab.subject import Finding, Invariant, Observation, Severity, Undecided, Violation
from subjects.ratelimiter.invariants.series import node_members
from subjects.ratelimiter.members import REDIS
from subjects.ratelimiter.observer.readings import Readings


def _check_registry_mismatch(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    now = history[-1]
    redis = Readings.of(now).redis
    if redis is None:
        yield Undecided(rule.name, REDIS, "the registry was not seen")
        return
    expected = {node.name for node in node_members(now)}
    unknown = [name for name in redis.registered if name not in expected]
    if unknown:
        message = f"the registry in Redis has heartbeats of nodes that do not exist: {', '.join(unknown[:5])}"
        evidence = {"unknown": unknown, "expected": sorted(expected)}
        yield Violation(rule.name, REDIS, message, rule.severity, evidence)


REGISTRY_MISMATCH = Invariant(
    name="registry_mismatch",
    description="Whoever has a heartbeat in the registry is a node of the system.",
    check=_check_registry_mismatch,
    severity=Severity.WARNING,
    grace_s=0.5,
)
