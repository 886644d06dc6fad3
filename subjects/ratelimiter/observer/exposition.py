"""From a node's `/metrics` page to `NodeCounts`.

Parsing would be the dearest part of a reading. But a node writes the same page each time, but for the values: so the
library parses what stands before a value once, and from then on that is cut off, and what is left must be a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

from prometheus_client.parser import text_string_to_metric_families

from subjects.ratelimiter.observer.readings import Histogram, NodeCounts

_DECISIONS = "ratelimiter_decisions_total"
_BUCKET = "ratelimiter_decision_seconds_bucket"
_ERRORS = "ratelimiter_redis_errors_total"
_STARTED = "process_start_time_seconds"
_WANTED = (_DECISIONS, _BUCKET, _ERRORS, _STARTED)
_OUTCOMES = ("allowed", "denied", "allowed_without_redis", "denied_without_redis")


class Unreadable(ValueError):
    """The page is not what a node writes."""


class Page:
    """The page of `node`, as it was laid out when it was last read."""

    def __init__(self, node: str) -> None:
        self._named = f'node="{node}"'
        self._layout: _Layout | None = None

    def counts(self, page: bytes) -> NodeCounts:
        """The counters; Unreadable if any is missing or the page is not in the exposition format."""
        if self._layout is not None:
            try:
                return self._layout.counts(page)
            except (ValueError, IndexError, OverflowError):
                self._layout = None  # it is laid out otherwise now
        try:
            self._layout = self._learned(page.decode(errors="replace").split("\n"))
            return self._layout.counts(page)
        except (ValueError, KeyError, OverflowError) as trouble:
            raise Unreadable(f"{type(trouble).__name__}: {trouble}"[:200]) from trouble

    def _learned(self, lines: Sequence[str]) -> _Layout:
        """Where each value stands; ValueError or KeyError if that cannot be told."""
        places: dict[tuple[str, str | float], int] = {}
        for number, line in enumerate(lines):
            if line.startswith(_WANTED):
                name, label = _series(line.rpartition(" ")[0].replace(self._named, 'node=""'))
                places[name, float(label) if name == _BUCKET else label] = number
        bounds = tuple(sorted(label for name, label in places if name == _BUCKET and isinstance(label, float)))
        wanted: list[tuple[str, str | float]] = [(_STARTED, ""), (_ERRORS, "")]
        wanted += [(_DECISIONS, outcome) for outcome in _OUTCOMES]
        wanted += [(_BUCKET, bound) for bound in (*bounds[:-1], float("inf"))]
        numbers = [places[key] for key in wanted]
        heads = tuple(f"{lines[number].rpartition(' ')[0]} ".encode() for number in numbers)
        return _Layout(bounds[:-1], itemgetter(*numbers), heads, max(numbers) + 1)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which lines have the values, and what stands before each: the start, the errors, the outcomes, the buckets."""

    bounds: tuple[float, ...]
    pick: Callable[[Sequence[bytes]], tuple[bytes, ...]]
    heads: tuple[bytes, ...]
    lines: int
    """So many have to be looked at."""

    def counts(self, page: bytes) -> NodeCounts:
        """The values of a page; ValueError, IndexError or OverflowError if it is not laid out so.

        A line that does not begin with its head keeps what it begins with, and is no number.
        """
        values = map(bytes.removeprefix, self.pick(page.split(b"\n", self.lines)), self.heads)
        started, errors, allowed, denied, allowed_without, denied_without, *buckets, total = map(float, values)
        latency = Histogram(self.bounds, tuple(buckets), total)
        outcomes = (int(allowed), int(denied), int(allowed_without), int(denied_without))
        return NodeCounts(started, *outcomes, int(errors), latency)


@lru_cache(maxsize=1 << 10)  # a page has some thirty
def _series(series: str) -> tuple[str, str]:
    """The name of a series, and the one label of it that matters: an outcome, or a bound. ValueError if it is none."""
    (family,) = text_string_to_metric_families(f"{series} 0\n")
    (sample,) = family.samples
    if sample.timestamp is not None:
        raise ValueError(f"a value with a time stamp: {series}")
    return sample.name, sample.labels.get("outcome") or sample.labels.get("le") or ""
