"""ghost_allowing."""

import pytest

PASSING = (("node-1", True), ("node-2", True))


def test_more_than_declared_in_redis_is_found_and_both_limits_are_told(film, verdict):
    found = verdict(film.well().frame(keys={"tenant-a": (26, 20_000)}), "ghost_allowing")
    assert set(found.broken) == {"tenant-a"}
    message = found.broken["tenant-a"].message
    assert "26" in message
    assert "20 were declared" in message
    assert "20000" in message


def test_exactly_the_declared_number_is_right(film, verdict):
    assert not verdict(film.well().frame(keys={"tenant-a": (20, 20)}), "ghost_allowing").broken


def test_a_raised_limit_nobody_uses_lets_no_ghost_through(film, verdict):
    assert not verdict(film.well().frame(keys={"tenant-a": (12, 20_000)}), "ghost_allowing").broken


def test_a_quiet_second_under_a_raised_limit_is_no_repair(film, verdict):
    film.well().frame(keys={"tenant-a": (26, 20_000)}).frame(keys={"tenant-a": (12, 20_000)})
    assert "26" in verdict(film, "ghost_allowing").broken["tenant-a"].message


def test_the_rule_holds_as_soon_as_limit_and_window_are_right_again(film, verdict):
    film.well().frame(keys={"tenant-a": (26, 20_000)})
    assert "tenant-a" in verdict(film.frame(keys={"tenant-a": (24, 20)}), "ghost_allowing").broken
    assert not verdict(film.frame(keys={"tenant-a": (20, 20)}), "ghost_allowing").broken


def test_a_node_that_allows_without_redis_is_caught_by_the_canary(film, verdict):
    found = verdict(film.well().frame(canary=PASSING), "ghost_allowing")
    assert set(found.broken) == {"canary"}
    assert found.broken["canary"].evidence["nodes"] == ["node-1", "node-2"]


def test_canary_checks_of_two_readings_in_one_window_are_added_up(film, verdict):
    film.well().frame(canary=(("node-1", False), ("node-2", True))).frame(canary=(("node-3", True), ("node-1", False)))
    assert set(verdict(film, "ghost_allowing").broken) == {"canary"}


def test_canary_checks_that_may_lie_in_two_windows_are_not_added_up(film, verdict):
    film.step_s = 0.96
    film.well().frame(canary=PASSING[:1]).frame(canary=PASSING[1:])
    assert not verdict(film, "ghost_allowing").broken


def test_the_canary_forgets_what_is_repaired(film, verdict):
    film.well().frame(canary=PASSING)
    assert not verdict(film.well(2), "ghost_allowing").broken


def test_the_canary_works_without_redis_and_the_counted_keys_are_undecided(film, verdict):
    found = verdict(film.well().frame(unseen=("redis",), canary=PASSING), "ghost_allowing")
    assert set(found.broken) == {"canary"}
    assert set(found.undecided) == {"tenant-a", "tenant-b", "tenant-c"}


@pytest.mark.parametrize("canary", [(), (("node-1", True),), (("node-1", True), ("node-2", None))])
def test_a_limit_that_was_not_put_to_the_test_is_undecided(film, verdict, canary):
    found = verdict(film.well().frame(canary=canary), "ghost_allowing")
    assert set(found.undecided) == {"canary"}
    assert not found.broken
