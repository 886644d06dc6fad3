"""Is the 99th percentile of decision time too high, and who is to blame?

Each node keeps a histogram of how long its decisions took; the difference of two readings is the
histogram of what happened between them. The percentile is interpolated within its bucket, as
Prometheus' `histogram_quantile` does. One stall delays every request in flight at once, so slowness
counts only when it shows in readings that together span a while. A node that has lost Redis takes its
whole time-out for each decision; that is `redis_disconnected`, so those readings are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import sub

from operatorlab.subject import Finding, Invariant, Observation, Severity, Undecided, Violation
from subjects.ratelimiter.invariants.series import Run, Series, is_live, node_members
from subjects.ratelimiter.observer.readings import Histogram

_QUANTILE = 0.99
_FEWEST_SLOW = 3
"""Slow requests below this number prove nothing."""
_SLOW_FOR_S = 1.9
"""Slowness must show in readings that together cover this long."""


def difference(newer: Histogram, older: Histogram) -> Histogram:
    """The histogram of what was counted after `older` and up to `newer`, of the same process."""
    return Histogram(newer.bounds, tuple(map(sub, newer.counts, older.counts)), newer.total - older.total)


def quantile(histogram: Histogram, q: float) -> float | None:
    """The `q` quantile in seconds, interpolated in its bucket; the highest bound if beyond; None if empty."""
    if histogram.total <= 0:
        return None
    rank = q * histogram.total
    lower, below = 0.0, 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=True):
        if count >= rank and count > below:
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return histogram.bounds[-1]


def slower_than(histogram: Histogram, limit_s: float) -> int:
    """How many took longer than the first bound at or above `limit_s`: never an overestimate."""
    for bound, count in zip(histogram.bounds, histogram.counts, strict=True):
        if bound >= limit_s:
            return histogram.total - count
    return 0


def _check_high_latency(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    assert rule.threshold is not None
    live = {node.name for node in node_members(history[-1]) if is_live(node)}
    p99: dict[str, float] = {}
    proven: set[str] = set()
    series, ready = Series(history), _unready_until(history)
    for node in node_members(history[-1]):
        run = series.run(node.name, ready.get(node.name, 0))
        value = quantile(_counted(run), _QUANTILE) if run.counts else None
        if value is None:
            yield Undecided(
                rule.name, node.name, "no requests were seen since it became ready, or since the window began"
            )
            continue
        p99[node.name] = value
        if value > rule.threshold and _is_lasting(run, rule.threshold):
            proven.add(node.name)
    slow = {name for name, value in p99.items() if value > rule.threshold}
    yield from _verdicts(rule, p99, slow, proven, all_slow=len(live) > 1 and slow >= live)


def _counted(run: Run) -> Histogram:
    return difference(run.counts[-1].latency, run.counts[0].latency)


def _unready_until(history: Sequence[Observation]) -> dict[str, int]:
    """How many of the readings end with the last in which a node said that it was not ready; not who never did."""
    return {
        node.name: readings
        for readings, seen in enumerate(history, start=1)
        for node in seen.nodes
        if node.facts.get("ready") is False
    }


def _verdicts(
    rule: Invariant, p99: dict[str, float], slow: set[str], proven: set[str], *, all_slow: bool
) -> Iterator[Finding]:
    for name in sorted(slow):
        if all_slow:
            yield Undecided(rule.name, name, "every live node is slow")
        elif name in proven:
            yield _slow(rule, name, f"{name} is slow", {name: p99[name]})
        else:
            yield Undecided(rule.name, name, f"slow for less than {_SLOW_FOR_S} s, or in too few requests")
    if all_slow and proven:
        yield _slow(rule, "redis", "every live node is slow, so what they share is", {n: p99[n] for n in sorted(slow)})
    elif all_slow:
        yield Undecided(rule.name, "redis", "every live node is slow, but not yet for long")


def _slow(rule: Invariant, component: str, message: str, p99: dict[str, float]) -> Violation:
    worst = max(p99.values())
    text = f"{message}: p99 {worst:.3f} s over the last {rule.window_s:g} s, at most {rule.threshold} s is allowed"
    return Violation(rule.name, component, text, rule.severity, {"p99_s": p99, "threshold_s": rule.threshold})


def _is_lasting(run: Run, limit_s: float) -> bool:
    """Whether slow requests ended in at least two spans between readings, that together are long enough."""
    slow, spans = 0, []
    readings = zip(run.counts, run.looks, strict=True)
    for (before, older), (after, newer) in pairwise(readings):
        count = slower_than(difference(after.latency, before.latency), limit_s)
        slow += count
        if count:
            spans.append(newer.monotonic - older.monotonic)
    return slow >= _FEWEST_SLOW and len(spans) > 1 and sum(spans) >= _SLOW_FOR_S


HIGH_LATENCY = Invariant(
    name="high_latency",
    description="99 % of a node's decisions take at most the threshold. If all nodes are slow, Redis is blamed.",
    check=_check_high_latency,
    severity=Severity.WARNING,
    grace_s=0.5,
    window_s=4.0,
    threshold=0.1,
    unit="s",
)
