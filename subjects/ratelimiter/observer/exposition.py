"""From a node's `/metrics` page to `NodeCounts`.

Parsing would be the dearest part of a reading. But all pages say the same but for their values and the node's name,
so what stands before a value is parsed by the library once and remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from prometheus_client.parser import text_string_to_metric_families

from subjects.ratelimiter.observer.readings import Histogram, NodeCounts

_WANTED = (
    "ratelimiter_decisions_total",
    "ratelimiter_decision_seconds_bucket",
    "ratelimiter_redis_errors_total",
    "process_start_time_seconds",
)


class Unreadable(ValueError):
    """The page is not what a node writes."""


def parse_counts(page: str, node: str) -> NodeCounts:
    """The counters of `node`; Unreadable if any is missing or the page is not in the exposition format."""
    lines = page.replace(f'node="{node}"', 'node=""').splitlines()
    try:
        return _counts(line for line in lines if line.startswith(_WANTED))
    except (ValueError, KeyError, OverflowError) as trouble:
        raise Unreadable(f"{type(trouble).__name__}: {trouble}"[:200]) from trouble


@lru_cache(maxsize=1 << 10)  # a page has some thirty
def _series(series: str) -> tuple[str, str]:
    """The name of a series, and the one label of it that matters: an outcome, or a bound. ValueError if it is none."""
    (family,) = text_string_to_metric_families(f"{series} 0\n")
    (sample,) = family.samples
    if sample.timestamp is not None:
        raise ValueError(f"a value with a time stamp: {series}")
    return sample.name, sample.labels.get("outcome") or sample.labels.get("le") or ""


def _counts(lines: Iterable[str]) -> NodeCounts:
    """The counters that lines tell, each a series and a value."""
    outcomes: dict[str, int] = {}
    buckets: dict[float, int] = {}
    single: dict[str, float] = {}
    for line in lines:
        series, _, value = line.rpartition(" ")
        name, label = _series(series)
        if name == "ratelimiter_decision_seconds_bucket":
            buckets[float(label)] = int(float(value))
        elif name == "ratelimiter_decisions_total":
            outcomes[label] = int(float(value))
        else:
            single[name] = float(value)
    total = buckets.pop(float("inf"))
    bounds = tuple(sorted(buckets))
    return NodeCounts(
        started=single["process_start_time_seconds"],
        allowed=outcomes.get("allowed", 0),
        denied=outcomes.get("denied", 0),
        allowed_without_redis=outcomes.get("allowed_without_redis", 0),
        denied_without_redis=outcomes.get("denied_without_redis", 0),
        redis_errors=int(single["ratelimiter_redis_errors_total"]),
        latency=Histogram(bounds, tuple(buckets[bound] for bound in bounds), total),
    )
