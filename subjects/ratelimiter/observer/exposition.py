"""From a node's `/metrics` page to `NodeCounts`.

The page is cut down to the families that are read before it is parsed: parsing is the dearest part of a
reading, and most of the page is about the Python process.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from subjects.ratelimiter.observer.readings import Histogram, NodeCounts

_WANTED = (
    "ratelimiter_decisions_total",
    "ratelimiter_decision_seconds_bucket",
    "ratelimiter_redis_errors_total",
    "process_start_time_seconds",
)


class Unreadable(ValueError):
    """The page is not what a node writes."""


def parse_counts(page: str) -> NodeCounts:
    """The counters of a node; Unreadable if any is missing or the page is not in the exposition format."""
    wanted = "\n".join(line for line in page.splitlines() if line.startswith(_WANTED)) + "\n"
    try:
        samples = [s for family in text_string_to_metric_families(wanted) for s in family.samples]
        return _counts(samples)
    except (ValueError, KeyError) as trouble:
        raise Unreadable(f"{type(trouble).__name__}: {trouble}"[:200]) from trouble


def _counts(samples: Iterable[Sample]) -> NodeCounts:
    outcomes: dict[str, int] = {}
    buckets: dict[float, int] = {}
    single: dict[str, float] = {}
    for sample in samples:
        if sample.name == "ratelimiter_decisions_total":
            outcomes[sample.labels["outcome"]] = int(sample.value)
        elif sample.name == "ratelimiter_decision_seconds_bucket":
            buckets[float(sample.labels["le"])] = int(sample.value)
        else:
            single[sample.name] = sample.value
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
