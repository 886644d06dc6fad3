"""Reading a node's /metrics page."""

import pytest

from subjects.ratelimiter.observer.exposition import Page, Unreadable, _series
from subjects.ratelimiter.observer.readings import Histogram
from subjects.ratelimiter.service.metrics import NodeMetrics, Outcome


@pytest.fixture
def page() -> bytes:
    """A page as a node writes it, after four decisions and one failure of Redis."""
    metrics = NodeMetrics("node-1")
    for outcome, seconds in [
        (Outcome.ALLOWED, 0.0004),
        (Outcome.ALLOWED, 0.12),
        (Outcome.DENIED, 0.0004),
        (Outcome.DENIED_WITHOUT_REDIS, 99.0),
    ]:
        metrics.decided(outcome, seconds)
    metrics.redis_failed()
    return metrics.exposition()


def test_the_counters_of_a_real_page(page):
    counts = Page("node-1").counts(page)
    assert (counts.allowed, counts.denied) == (2, 1)
    assert (counts.allowed_without_redis, counts.denied_without_redis) == (0, 1)
    assert counts.redis_errors == 1
    assert counts.started > 1_500_000_000


def test_the_histogram_of_a_real_page(page):
    latency = Page("node-1").counts(page).latency
    assert isinstance(latency, Histogram)
    assert latency.total == 4
    by_bound = dict(zip(latency.bounds, latency.counts, strict=True))
    assert (by_bound[0.0005], by_bound[0.1], by_bound[0.15], by_bound[5.0]) == (2, 2, 3, 3)
    assert list(latency.bounds) == sorted(latency.bounds)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"<html>not found</html>",
        b'process_start_time_seconds 1\nratelimiter_redis_errors_total{node="a"} 0\n',
        b"process_start_time_seconds many\n",
        b'ratelimiter_decisions_total{outcome="allowed" 1\n',
    ],
)
def test_a_page_that_is_no_such_page_is_refused(wrong):
    with pytest.raises(Unreadable):
        Page("node-1").counts(wrong)


@pytest.mark.parametrize("family", ["ratelimiter_redis_errors_total", "process_start_time_seconds"])
def test_a_page_with_a_family_missing_is_refused(page, family):
    with pytest.raises(Unreadable, match=family):
        Page("node-1").counts(b"\n".join(line for line in page.splitlines() if not line.startswith(family.encode())))


def test_pages_of_many_nodes_are_told_apart(page):
    other = NodeMetrics("node-2")
    other.decided(Outcome.DENIED, 0.3)
    assert Page("node-2").counts(other.exposition()).denied == 1
    assert Page("node-1").counts(page).allowed == 2
    assert Page("another").counts(page).allowed == 2, "whatever a page calls itself"


def test_a_value_with_a_time_stamp_is_refused(page):
    with pytest.raises(Unreadable):
        Page("node-1").counts(b"\n".join(line + b" 1" for line in page.splitlines()))


def test_a_page_is_read_anew_when_it_is_laid_out_otherwise(page):
    known = Page("node-1")
    before = known.counts(page)
    assert known.counts(page.replace(b'outcome="denied"} 1.0', b'outcome="denied"} 7.0')).denied == 7
    lines = page.splitlines()
    assert known.counts(b"\n".join(reversed(lines))) == before
    assert known.counts(b"\n".join([b"# a line more", *lines])) == before
    finer = page.replace(b'le="0.0005"', b'le="0.0003"')
    assert known.counts(finer).latency.bounds[0] == 0.0003
    with pytest.raises(Unreadable, match="redis_errors"):
        known.counts(b"\n".join(line for line in lines if not line.startswith(b"ratelimiter_redis_errors")))
    with pytest.raises(Unreadable):
        known.counts(b"\n".join(line + b" 1" for line in lines))
    assert known.counts(page) == before


def test_reading_a_known_page_asks_the_library_nothing(page):
    known = Page("node-1")
    before, asked = known.counts(page), _series.cache_info()
    assert known.counts(page) == before
    assert _series.cache_info() == asked
