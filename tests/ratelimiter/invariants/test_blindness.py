"""observer_blind."""

from dataclasses import replace

METRICS = (("metrics", "node-2"),)


def test_what_is_missed_for_long_enough_makes_it_blind(film, verdict):
    film.well()
    broken = [set(verdict(film.frame(blind=METRICS), "observer_blind").broken) for _ in range(5)]
    assert broken == [set(), set(), set(), set(), {"node-2"}]
    assert "metrics" in verdict(film, "observer_blind").broken["node-2"].message


def test_missing_something_else_each_time_is_bad_luck(film, verdict):
    film.well()
    for _ in range(4):
        film.frame(blind=(("canary", "node-2"),)).frame(blind=METRICS)
    found = verdict(film, "observer_blind")
    assert not found.broken
    assert set(found.undecided) == {"node-2"}


def test_blind_from_the_first_reading_on(film, verdict):
    for _ in range(5):
        film.frame(blind=METRICS)
    assert set(verdict(film, "observer_blind").broken) == {"node-2"}


def test_one_ticket_a_member_whatever_is_missed(film, verdict):
    for _ in range(5):
        film.frame(blind=(*METRICS, ("canary", "node-2"), ("counts", "redis")))
    found = verdict(film, "observer_blind")
    assert set(found.broken) == {"node-2", "redis"}
    assert set(found.broken["node-2"].evidence) == {"metrics", "canary"}


def test_a_member_that_is_down_is_seen_to_be_down(film, verdict):
    for _ in range(5):
        film.frame(down={"node-2": "refused"})
    found = verdict(film, "observer_blind")
    assert not found.broken
    assert set(found.undecided) == {"node-2"}


def test_sight_again_is_sight(film, verdict):
    for _ in range(5):
        film.frame(blind=METRICS)
    found = verdict(film.frame(), "observer_blind")
    assert not found.broken
    assert not found.undecided


def test_one_reading_that_took_very_long_is_bad_luck_too(film, verdict):
    film.well().frame(blind=METRICS)
    film.frames[-1] = replace(film.frames[-1], duration_s=5.0)
    found = verdict(film, "observer_blind")
    assert not found.broken
    assert set(found.undecided) == {"node-2"}
