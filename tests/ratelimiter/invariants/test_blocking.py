"""over_blocking."""


def test_a_limit_below_the_declared_one_is_found_and_both_are_told(film, verdict):
    found = verdict(film.well().frame(keys={"tenant-a": (0, 0)}), "over_blocking")
    assert set(found.broken) == {"tenant-a"}
    assert "may send 0 requests" in found.broken["tenant-a"].message
    assert "20 were declared" in found.broken["tenant-a"].message


def test_the_declared_limit_and_a_higher_one_hold(film, verdict):
    assert not verdict(film.well().frame(keys={"tenant-a": (20, 20), "tenant-b": (1, 4000)}), "over_blocking").broken


def test_the_rule_holds_as_soon_as_the_limit_is_right_again(film, verdict):
    assert verdict(film.well().frame(keys={"tenant-a": (3, 5)}), "over_blocking").broken
    assert not verdict(film.frame(keys={"tenant-a": (3, 20)}), "over_blocking").broken


def test_without_redis_no_key_is_decided(film, verdict):
    found = verdict(film.well().frame(unseen=("redis",)), "over_blocking")
    assert not found.broken
    assert "tenant-a" in found.undecided


def test_requests_that_are_counted_with_a_time_to_come_hold_a_key_back(film, verdict):
    found = verdict(film.well().frame(keys={"tenant-a": (3, 20, 2.9), "tenant-b": (3, 4000, 0.004)}), "over_blocking")
    assert set(found.broken) == {"tenant-a"}
    assert "2.9 s ahead of the clock of Redis" in found.broken["tenant-a"].message
    assert not verdict(film.frame(keys={"tenant-a": (3, 20, 0.0)}), "over_blocking").broken
