"""Do the nodes' own counts of what they allowed agree with what Redis counted for them?

Redis' total of a node is read just before and just after the node's counter, so its growth between two
readings is known between two bounds; only a difference beyond those bounds and the tolerance is drift. A
decision that Redis took but whose answer the node did not get is a Redis error of that node, and forgiven.
Totals never shrink while one Redis process lives: if they do, someone flushed them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from operatorlab.subject import Finding, Invariant, Observation, Undecided, Violation
from subjects.ratelimiter.invariants.series import Sample, node_members, samples

_RELATIVE = 0.05
"""Part of a node's allowed requests that may differ besides the threshold: requests in flight at full load."""


def _check_counter_drift(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    comparable = {n.name: _comparable(samples(history, n.name)) for n in node_members(history[-1])}
    lost = {name: loss for name, seen in comparable.items() if (loss := _lost(seen))}
    if lost:
        shrunk = ", ".join(f"{name} from {before} to {after}" for name, (before, after) in sorted(lost.items()))
        message = f"Redis lost counts without a restart: the total of {shrunk}"
        yield Violation(rule.name, "redis", message, rule.severity, {"lost": lost})
    for name, seen in comparable.items():
        if lost:
            yield Undecided(rule.name, name, "Redis lost its totals, there is nothing to compare with")
        elif len(seen) < 2:
            yield Undecided(rule.name, name, "fewer than two readings of its counters and of Redis' totals")
        else:
            yield from _drift(rule, name, seen[0], seen[-1])


def _comparable(seen: Sequence[Sample]) -> list[Sample]:
    """The samples with both totals, of the Redis process that runs now; empty if the newest has none."""
    if not seen or not _has_totals(seen[-1]):
        return []
    return [sample for sample in seen if _has_totals(sample) and sample.redis_run == seen[-1].redis_run]


def _has_totals(sample: Sample) -> bool:
    counts = sample.counts
    return sample.redis_run is not None and counts.counted_before is not None and counts.counted_after is not None


def _lost(seen: Sequence[Sample]) -> tuple[int, int] | None:
    """Redis' total before and after it shrank, if it did."""
    highest = 0
    for sample in seen:
        for total in _totals(sample):
            if total < highest:
                return highest, total
            highest = total
    return None


def _totals(sample: Sample) -> tuple[int, int]:
    before, after = sample.counts.counted_before, sample.counts.counted_after
    assert before is not None
    assert after is not None
    return before, after


def _drift(rule: Invariant, name: str, first: Sample, last: Sample) -> Iterator[Finding]:
    assert rule.threshold is not None
    own = last.counts.allowed - first.counts.allowed
    least = _totals(last)[0] - _totals(first)[1]
    most = _totals(last)[1] - _totals(first)[0]
    forgiven = last.counts.redis_errors - first.counts.redis_errors
    tolerance = rule.threshold + _RELATIVE * max(own, most)
    if own - most > tolerance or least - own > tolerance + forgiven:
        message = (
            f"{name} says it allowed {own} requests in the last {last.monotonic - first.monotonic:.1f} s, "
            f"Redis counted {least} to {most} for it (tolerance {tolerance:.0f})"
        )
        evidence = {"node": own, "redis_least": least, "redis_most": most, "redis_errors": forgiven}
        yield Violation(rule.name, name, message, rule.severity, evidence)


COUNTER_DRIFT = Invariant(
    name="counter_drift",
    description="What a node says it allowed is what Redis counted for it, within the threshold, over the window.",
    check=_check_counter_drift,
    grace_s=0.5,
    window_s=5.0,
    threshold=20,
    unit="requests",
)
