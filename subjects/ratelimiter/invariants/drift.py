"""Do the nodes' own counts of what they allowed agree with what Redis counted for them?

Redis' total of a node is read just before and just after the node's counter, so its growth between two
readings is known between two bounds; only a difference beyond those bounds and the tolerance is drift. A
decision that Redis took but whose answer the node did not get is a Redis error of that node, and forgiven.
Totals never shrink while one Redis process lives: if they do, someone flushed them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from operatorlab.subject import Finding, Invariant, Observation, Undecided, Violation
from subjects.ratelimiter.invariants.series import Run, Series, node_members
from subjects.ratelimiter.observer.readings import NodeCounts

_RELATIVE = 0.05
"""Part of a node's allowed requests that may differ besides the threshold: requests in flight at full load."""


def _check_counter_drift(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    series = Series(history)
    comparable = {node.name: _comparable(series.run(node.name)) for node in node_members(history[-1])}
    lost = {name: loss for name, run in comparable.items() if (loss := _lost(run))}
    if lost:
        shrunk = ", ".join(f"{name} from {before} to {after}" for name, (before, after) in sorted(lost.items()))
        message = f"Redis lost counts without a restart: the total of {shrunk}"
        yield Violation(rule.name, "redis", message, rule.severity, {"lost": lost})
    for name, run in comparable.items():
        if lost:
            yield Undecided(rule.name, name, "Redis lost its totals, there is nothing to compare with")
        elif len(run.counts) < 2:
            yield Undecided(rule.name, name, "fewer than two readings of its counters and of Redis' totals")
        else:
            yield from _drift(rule, name, run)


def _comparable(run: Run) -> Run:
    """The readings with both totals, of the Redis process that runs now; empty if the newest has none."""
    if not run.counts or run.looks[-1].redis_run is None or run.counts[-1].counted_after is None:
        return Run()
    now = run.looks[-1].redis_run
    both = zip(run.counts, run.looks, strict=True)
    kept = [(one, look) for one, look in both if look.redis_run == now and one.counted_after is not None]
    return run if len(kept) == len(run.counts) else Run(*zip(*kept, strict=True))


def _lost(run: Run) -> tuple[int, int] | None:
    """Redis' total before and after it shrank, if it did."""
    totals = [total for one in run.counts for total in _totals(one)]
    if totals == sorted(totals):
        return None
    highest = accumulate(totals, max)
    return next((most, now) for most, now in zip(highest, totals[1:], strict=False) if now < most)


def _totals(counts: NodeCounts) -> tuple[int, int]:
    """Before and after; there is never one without the other."""
    before, after = counts.counted_before, counts.counted_after
    assert before is not None
    assert after is not None
    return before, after


def _drift(rule: Invariant, name: str, run: Run) -> Iterator[Finding]:
    assert rule.threshold is not None
    first, last = run.counts[0], run.counts[-1]
    own = last.allowed - first.allowed
    least = _totals(last)[0] - _totals(first)[1]
    most = _totals(last)[1] - _totals(first)[0]
    forgiven = last.redis_errors - first.redis_errors
    tolerance = rule.threshold + _RELATIVE * max(own, most)
    if own - most > tolerance or least - own > tolerance + forgiven:
        message = (
            f"{name} says it allowed {own} requests in the last "
            f"{run.looks[-1].monotonic - run.looks[0].monotonic:.1f} s, "
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
