"""The load is what its profile says, and the same again for the same seed."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from subjects.ratelimiter.limits import CANARY, DECLARED
from subjects.ratelimiter.subject import RateLimiter
from subjects.ratelimiter.workload.profiles import KEYS, PROFILES, arrivals


def _first_seconds(load, seconds, seed=7):
    due = itertools.takewhile(lambda arrival: arrival.offset_s < seconds, arrivals(PROFILES[load], seed))
    return list(due)


def test_the_subject_offers_the_loads_that_exist():
    assert set(RateLimiter.loads) == set(PROFILES)
    assert RateLimiter.loads[0] == "steady"


@pytest.mark.parametrize("load", sorted(PROFILES))
def test_the_same_seed_gives_the_same_keys_and_gaps(load):
    assert _first_seconds(load, 5) == _first_seconds(load, 5)
    assert _first_seconds(load, 5) != _first_seconds(load, 5, seed=8)


@pytest.mark.parametrize(("load", "rate"), [("steady", 100), ("burst", 120), ("skewed", 100), ("full", 300)])
def test_the_rate_is_met_on_average(load, rate):
    assert len(_first_seconds(load, 100)) / 100 == pytest.approx(rate, rel=0.05)


def test_a_burst_is_a_square_wave():
    by_second = Counter(int(arrival.offset_s) % 4 for arrival in _first_seconds("burst", 200))
    quiet, loud = by_second[0] + by_second[1], by_second[2] + by_second[3]
    assert loud / quiet == pytest.approx(5, rel=0.1)


def test_steady_load_is_denied_a_little_and_only_for_tenant_a():
    counted = Counter(arrival.key for arrival in _first_seconds("steady", 100))
    assert DECLARED["tenant-a"] < counted["tenant-a"] / 100 < 1.5 * DECLARED["tenant-a"]
    assert counted["tenant-b"] / 100 < DECLARED["tenant-b"] / 2
    assert set(counted) == set(KEYS)
    assert CANARY not in counted


def test_skewed_load_prefers_one_key():
    counted = Counter(arrival.key for arrival in _first_seconds("skewed", 100))
    assert counted["tenant-a"] / counted.total() > 0.4
