"""Is the 99th percentile of decision time too high, and who is to blame?

Each node keeps a histogram of how long its decisions took; the difference of two readings is the
histogram of what happened between them. The percentile is interpolated within its bucket, as
Prometheus' `histogram_quantile` does. One stall delays every request in flight at once, so slowness
counts only when it shows in readings that together span a while. A node that has lost Redis takes its
whole time-out for each decision; that is `redis_disconnected`, so those readings are left out.
"""

from __future__ import annotations

from bisect import bisect_right
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
    lower, below = 0.0, 0.0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=True):
        if count >= rank and count > below:
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return histogram.bounds[-1]


def slower_than(histogram: Histogram, limit_s: float) -> float:
    """How many took longer than the first bound at or above `limit_s`: never an overestimate."""
    for bound, count in zip(histogram.bounds, histogram.counts, strict=True):
        if bound >= limit_s:
            return histogram.total - count
    return 0


def _check_high_latency(history: Sequence[Observation], rule: Invariant) -> Iterator[Finding]:
    assert rule.threshold is not None
    p99: dict[str, float] = {}
    proven: set[str] = set()
    series, unready = Series(history), _unready_until(history)
    members = node_members(history[-1])
    for node in members:
        after = unready.get(node.name, 0)
        ends = series.ends(node.name, after)
        if ends and _is_quick(ends[0].latency, ends[1].latency, rule.threshold):
            continue
        run = series.run(node.name, after)
        value = quantile(_counted(run), _QUANTILE) if run.counts else None
        if value is None:
            yield Undecided(
                rule.name, node.name, "no requests were seen since it became ready, or since the window began"
            )
        elif value > rule.threshold:
            p99[node.name] = value
            if _is_lasting(run, rule.threshold):
                proven.add(node.name)
    if p99:
        live = {node.name for node in members if is_live(node)}
        yield from _verdicts(rule, p99, proven, all_slow=len(live) > 1 and p99.keys() >= live)


def _is_quick(older: Histogram, newer: Histogram, limit_s: float) -> bool:
    """Whether the percentile of their difference surely is at most `limit_s`: most nodes, most of the time.

    It is, if so many requests are in a bucket that ends there or sooner.
    """
    total, place = newer.total - older.total, bisect_right(newer.bounds, limit_s) - 1
    return total > 0 and place >= 0 and newer.counts[place] - older.counts[place] >= _QUANTILE * total


def _counted(run: Run) -> Histogram:
    return difference(run.counts[-1].latency, run.counts[0].latency)


def _unready_until(history: Sequence[Observation]) -> dict[str, int]:
    """How many of the readings end with the last in which a node said that it was not ready; not who never did."""
    return {
        node.name: readings
        for readings, seen in enumerate(history, start=1)
        for node in seen.unwell
        if node.facts.get("ready") is False
    }


def _verdicts(rule: Invariant, p99: dict[str, float], proven: set[str], *, all_slow: bool) -> Iterator[Finding]:
    """What of the slow nodes, and of all of them together, is to be said; `proven` are slow for long enough."""
    for name in sorted(p99):
        if all_slow:
            yield Undecided(rule.name, name, "every live node is slow")
        elif name in proven:
            yield _slow(rule, name, f"{name} is slow", {name: p99[name]})
        else:
            yield Undecided(rule.name, name, f"slow for less than {_SLOW_FOR_S} s, or in too few requests")
    if all_slow and proven:
        yield _slow(rule, "redis", "every live node is slow, so what they share is", dict(sorted(p99.items())))
    elif all_slow:
        yield Undecided(rule.name, "redis", "every live node is slow, but not yet for long")


def _slow(rule: Invariant, component: str, message: str, p99: dict[str, float]) -> Violation:
    worst = max(p99.values())
    text = f"{message}: p99 {worst:.3f} s over the last {rule.window_s:g} s, at most {rule.threshold} s is allowed"
    return Violation(rule.name, component, text, rule.severity, {"p99_s": p99, "threshold_s": rule.threshold})


def _is_lasting(run: Run, limit_s: float) -> bool:
    """Whether slow requests ended in at least two spans between readings, that together are long enough."""
    slow, spans = 0.0, []
    for (before, began), (after, ended) in pairwise(zip(run.counts, run.at, strict=True)):
        count = slower_than(difference(after.latency, before.latency), limit_s)
        slow += count
        if count:
            spans.append(ended - began)
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
