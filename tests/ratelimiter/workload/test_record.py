"""What clients saw, as lines that anyone can follow."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from operatorlab.audit import ClientSample
from operatorlab.clock import Instant
from subjects.ratelimiter.workload.client import Seen
from subjects.ratelimiter.workload.record import Record, quantile


class _Clock:
    def __init__(self):
        self.seconds = 100.0

    def now(self):
        return Instant(self.seconds, datetime.fromtimestamp(1_000_000 + self.seconds, UTC))


def test_a_line_holds_one_span_and_the_next_begins_empty():
    file, clock = io.StringIO(), _Clock()
    record = Record(file, clock)
    for _ in range(3):
        record.sent()
    record.ended(Seen.ALLOWED, 0.01)
    record.ended(Seen.DENIED, 0.03)
    record.ended(Seen.ERROR, 1.0)
    clock.seconds = 100.5
    record.turn()
    clock.seconds = 101.0
    record.turn()
    first, second = (json.loads(line) for line in file.getvalue().splitlines())
    assert first == {
        "at": "1970-01-12T13:48:20+00:00",
        "monotonic": 100.0,
        "span_s": 0.5,
        "sent": 3,
        "allowed": 1,
        "denied": 1,
        "errors": 1,
        "p50_s": 0.03,
        "p99_s": 1.0,
    }
    assert (second["monotonic"], second["sent"], second["p50_s"], second["p99_s"]) == (100.5, 0, None, None)
    assert ClientSample(**{**first, "at": datetime.fromisoformat(first["at"])}).denied == 1


@given(st.lists(st.floats(0, 10), min_size=1), st.sampled_from([0.5, 0.99]))
def test_a_quantile_is_the_least_value_that_covers_its_share(values, share):
    ordered = sorted(round(value, 6) for value in values)
    found = quantile(ordered, share)
    assert sum(value <= found for value in ordered) >= share * len(ordered)
    assert sum(value < found for value in ordered) < share * len(ordered)
