"""high_latency, and the arithmetic of histograms below it."""

import pytest

from subjects.ratelimiter.invariants.latency import difference, quantile, slower_than
from subjects.ratelimiter.observer.readings import Histogram

BOUNDS = (0.1, 0.2, 0.4)


@pytest.mark.parametrize(
    ("counts", "total", "q", "expected"),
    [
        ((0, 0, 0), 0, 0.99, None),
        ((100, 100, 100), 100, 0.5, 0.05),
        ((50, 100, 100), 100, 0.75, 0.15),
        ((0, 0, 100), 100, 0.5, 0.3),
        ((98, 98, 100), 100, 0.99, 0.3),
        ((0, 0, 0), 10, 0.99, 0.4),  # beyond the last bound: that bound is all one can say
    ],
)
def test_a_quantile_is_interpolated_in_its_bucket(counts, total, q, expected):
    assert quantile(Histogram(BOUNDS, counts, total), q) == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("limit_s", "expected"), [(0.2, 5), (0.15, 5), (0.4, 2), (9.0, 0)])
def test_slow_requests_are_never_overestimated(limit_s, expected):
    assert slower_than(Histogram(BOUNDS, (1, 5, 8), 10), limit_s) == expected


def test_the_difference_is_what_happened_in_between():
    older, newer = Histogram(BOUNDS, (1, 2, 3), 4), Histogram(BOUNDS, (1, 5, 8), 10)
    assert difference(newer, older) == Histogram(BOUNDS, (0, 3, 5), 6)


def test_one_slow_node_is_blamed_once_it_has_lasted(film, verdict):
    film.well()
    broken_after = []
    for _ in range(5):
        film.serve("node-1", "node-3")
        film.serve("node-2", quick=0, slow=20)
        broken_after.append(set(verdict(film.frame(), "high_latency").broken))
    assert broken_after == [set(), set(), set(), {"node-2"}, {"node-2"}]
    assert "p99" in verdict(film, "high_latency").broken["node-2"].message


def test_one_stall_that_delays_everything_in_flight_is_no_violation(film, verdict):
    film.well()
    film.serve(slow=40, quick=0)
    film.frame()
    for _ in range(9):
        film.serve()
        assert not verdict(film.frame(), "high_latency").broken


def test_all_slow_blames_redis_and_nobody_else(film, verdict):
    film.well()
    for _ in range(4):
        film.serve(quick=0, slow=20)
        film.frame()
    found = verdict(film, "high_latency")
    assert set(found.broken) == {"redis"}
    assert set(found.undecided) == {"node-1", "node-2", "node-3"}


def test_the_only_live_node_is_blamed_itself(film, verdict):
    film.well()
    for _ in range(4):
        film.serve("node-2", quick=0, slow=20)
        film.frame(down={"node-1": "refused", "node-3": "refused"})
    assert set(verdict(film, "high_latency").broken) == {"node-2"}


def test_one_slow_request_in_a_hundred_is_allowed(film, verdict):
    for _ in range(12):
        film.serve(quick=199, slow=1)
        film.frame()
    assert not verdict(film, "high_latency").broken


def test_a_node_nobody_asks_is_undecided(film, verdict):
    film.well(2)
    for _ in range(10):
        film.serve("node-1", "node-3")
        film.frame()
    assert set(verdict(film, "high_latency").undecided) == {"node-2"}


def test_waiting_for_lost_redis_is_not_slowness_neither_during_nor_after(film, verdict):
    film.well()
    for _ in range(6):
        film.serve("node-2", allowed=0, quick=0, slow=20)
        film.frame(unready=("node-2",))
        assert "node-2" not in verdict(film, "high_latency").broken
    for _ in range(6):
        film.serve()
        assert "node-2" not in verdict(film.frame(), "high_latency").broken


def test_a_restart_starts_the_count_anew(film, verdict):
    film.well()
    film.nodes["node-2"] = type(film.nodes["node-2"])(started=900.0, quick=5)
    film.serve()
    found = verdict(film.frame(), "high_latency")
    assert not found.broken
    assert set(found.undecided) == {"node-2"}


def test_no_numbers_no_verdict(film, verdict):
    found = verdict(film.well().frame(unseen=("node-2",)), "high_latency")
    assert set(found.undecided) == {"node-2"}
