"""What holds for all rules."""

import json

import pytest

from subjects.ratelimiter.observer.readings import Readings

NAMES = [
    *("node_down", "redis_disconnected", "high_latency", "counter_drift"),
    *("ghost_allowing", "over_blocking", "registry_mismatch", "observer_blind"),
]


def test_the_rules_are_there_and_say_what_they_watch(rules):
    assert [rule.name for rule in rules] == NAMES
    assert all(rule.description and 0 <= rule.grace_s <= 1 for rule in rules)
    assert all(rule.unit for rule in rules if rule.threshold is not None)


@pytest.mark.parametrize("name", NAMES)
def test_a_healthy_history_breaks_nothing_and_leaves_nothing_undecided(film, verdict, name):
    found = verdict(film.well(12), name)
    assert not found.broken
    assert not found.undecided


@pytest.mark.parametrize("name", NAMES)
def test_the_first_reading_of_a_healthy_system_breaks_nothing(film, verdict, name):
    film.serve()
    assert not verdict(film.frame(), name).broken


@pytest.mark.parametrize("name", NAMES)
def test_nothing_seen_at_all_never_counts_as_holding(film, verdict, name):
    everyone = ("node-1", "node-2", "node-3", "redis")
    film.well(2).frame(unknown=everyone, canary=())
    found = verdict(film, name)
    assert found.undecided
    assert not found.broken


def test_what_was_read_survives_being_stored_as_json(film):
    film.serve()
    frame = film.frame().frames[-1]
    stored = json.loads(json.dumps(dict(frame.readings)))
    assert stored == frame.readings
    assert Readings.of(frame).to_json() == frame.readings
