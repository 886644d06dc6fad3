"""counter_drift."""

import pytest


def test_a_node_that_allows_what_redis_does_not_count_is_found(film, verdict):
    film.well()
    film.serve("node-1", "node-3")
    film.serve("node-2", allowed=60, counted=0)
    found = verdict(film.frame(), "counter_drift")
    assert set(found.broken) == {"node-2"}
    assert found.broken["node-2"].evidence["node"] > found.broken["node-2"].evidence["redis_most"]


def test_counts_in_redis_that_the_node_does_not_know_are_found(film, verdict):
    film.well()
    film.serve("node-1", "node-3")
    film.serve("node-2", allowed=0, counted=80)
    assert set(verdict(film.frame(), "counter_drift").broken) == {"node-2"}


def test_decisions_whose_answer_was_lost_are_forgiven(film, verdict):
    film.well()
    film.serve("node-1", "node-3")
    film.serve("node-2", allowed=0, counted=80)
    film.nodes["node-2"].errors += 80
    assert not verdict(film.frame(), "counter_drift").broken


def test_a_lost_answer_does_not_excuse_what_redis_never_counted(film, verdict):
    film.well()
    film.serve("node-2", allowed=80, counted=0)
    film.nodes["node-2"].errors += 80
    assert "node-2" in verdict(film.frame(), "counter_drift").broken


@pytest.mark.parametrize("difference", [-15, 15])
def test_a_few_requests_in_flight_are_no_drift(film, verdict, difference):
    film.well()
    film.serve(allowed=30, counted=30 + difference)
    assert not verdict(film.frame(), "counter_drift").broken


def test_slow_readings_widen_the_bounds_and_raise_no_alarm(film, verdict):
    film.well()
    film.serve(allowed=120, counted=0)  # counted while the reading was under way
    assert not verdict(film.frame(in_flight=120), "counter_drift").broken


def test_a_restarted_node_starts_anew(film, verdict):
    film.well()
    film.nodes["node-2"].started, film.nodes["node-2"].allowed = 900.0, 2
    found = verdict(film.frame(), "counter_drift")
    assert not found.broken
    assert set(found.undecided) == {"node-2"}


def test_a_restarted_redis_starts_anew(film, verdict):
    film.well()
    film.redis_run = "run-2"
    for node in film.nodes.values():
        node.counted = 0
    found = verdict(film.frame(), "counter_drift")
    assert not found.broken
    assert set(found.undecided) == {"node-1", "node-2", "node-3"}
    film.serve()
    assert not verdict(film.frame(), "counter_drift").undecided


def test_totals_that_shrink_without_a_restart_were_flushed_and_redis_is_blamed(film, verdict):
    film.well()
    for node in film.nodes.values():
        node.counted = 0
    film.serve(allowed=2)
    found = verdict(film.frame(), "counter_drift")
    assert set(found.broken) == {"redis"}
    assert set(found.undecided) == {"node-1", "node-2", "node-3"}


def test_a_flush_is_over_when_it_has_left_the_window(film, verdict):
    film.well()
    for node in film.nodes.values():
        node.counted = 0
    film.frame()
    assert not verdict(film.well(), "counter_drift").broken


@pytest.mark.parametrize("unseen", ["node-2", "redis"])
def test_what_was_not_read_cannot_be_compared(film, verdict, unseen):
    found = verdict(film.well().frame(unseen=(unseen,)), "counter_drift")
    assert "node-2" in found.undecided
    assert not found.broken


def test_a_gap_in_the_readings_does_not_hide_drift(film, verdict):
    film.well()
    film.serve("node-2", allowed=60, counted=0)
    film.frame(unseen=("node-2",))
    film.serve()
    assert "node-2" in verdict(film.frame(), "counter_drift").broken
