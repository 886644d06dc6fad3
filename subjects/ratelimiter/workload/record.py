"""What the clients saw, summed up over short spans: one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TextIO

from operatorlab.clock import Clock, Instant
from subjects.ratelimiter.workload.client import Seen


@dataclass(slots=True)
class _Span:
    began: Instant
    sent: int = 0
    seen: dict[Seen, int] = field(default_factory=lambda: dict.fromkeys(Seen, 0))
    latencies: list[float] = field(default_factory=list)


class Record:
    """Counts into the present span; `turn` writes it out and begins the next."""

    def __init__(self, file: TextIO, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._span = _Span(clock.now())

    def sent(self) -> None:
        """A request went out."""
        self._span.sent += 1

    def ended(self, seen: Seen, latency_s: float) -> None:
        """A request ended, perhaps one that went out in an earlier span."""
        self._span.seen[seen] += 1
        self._span.latencies.append(latency_s)

    def turn(self) -> None:
        """Write the span as one line, at once."""
        span, now = self._span, self._clock.now()
        latencies = sorted(span.latencies)
        line = {
            "at": span.began.at.isoformat(),
            "monotonic": round(span.began.monotonic, 6),
            "span_s": round(now.since(span.began), 6),
            "sent": span.sent,
            "allowed": span.seen[Seen.ALLOWED],
            "denied": span.seen[Seen.DENIED],
            "errors": span.seen[Seen.ERROR],
            "p50_s": quantile(latencies, 0.50),
            "p99_s": quantile(latencies, 0.99),
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        self._span = _Span(now)


def quantile(ordered: list[float], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed (nearest rank); None of none."""
    if not ordered:
        return None
    rank = -(-len(ordered) * share // 1)
    return round(ordered[max(int(rank), 1) - 1], 6)
