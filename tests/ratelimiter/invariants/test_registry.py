"""registry_mismatch."""


def test_a_heartbeat_of_a_node_that_does_not_exist_is_found_and_redis_blamed(film, verdict):
    found = verdict(film.well().frame(registered=("node-1", "node-2", "node-3", "node-4")), "registry_mismatch")
    assert set(found.broken) == {"redis"}
    assert "node-4" in found.broken["redis"].message
    assert "node-1" not in found.broken["redis"].message


def test_a_node_that_has_no_heartbeat_yet_is_no_mismatch(film, verdict):
    assert not verdict(film.well().frame(registered=()), "registry_mismatch").broken


def test_the_rule_holds_as_soon_as_the_heartbeat_is_gone(film, verdict):
    assert verdict(film.well().frame(registered=("ghost",)), "registry_mismatch").broken
    assert not verdict(film.frame(), "registry_mismatch").broken


def test_without_redis_it_is_undecided(film, verdict):
    found = verdict(film.well().frame(unseen=("redis",)), "registry_mismatch")
    assert not found.broken
    assert set(found.undecided) == {"redis"}
