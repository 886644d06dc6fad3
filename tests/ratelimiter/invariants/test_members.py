"""node_down and redis_disconnected."""

import pytest


def test_a_refused_connection_is_believed_at_once(film, verdict):
    found = verdict(film.well().frame(down={"node-2": "refused"}), "node_down")
    assert set(found.broken) == {"node-2"}
    assert "refused" in found.broken["node-2"].message


def test_a_node_that_does_not_answer_and_is_known_to_be_paused_is_believed_at_once(film, verdict):
    found = verdict(film.well().frame(down={"node-2": "frozen"}), "node_down")
    assert set(found.broken) == {"node-2"}


@pytest.mark.parametrize("kind", ["hung", "broken"])
def test_silence_is_believed_when_it_has_lasted(film, verdict, kind):
    film.well()
    found = [verdict(film.frame(down={"node-2": kind}), "node_down") for _ in range(4)]
    assert [set(each.broken) for each in found] == [set(), set(), set(), {"node-2"}]
    assert set(found[0].undecided) == {"node-2"}


def test_late_answers_with_a_good_one_between_are_no_outage(film, verdict):
    film.well()
    for _ in range(4):
        film.frame(down={"node-2": "hung"}).frame(down={"node-2": "hung"}).frame()
        assert not verdict(film, "node_down").broken


def test_a_hung_node_is_found_even_if_looks_are_rare(film, verdict):
    film.step_s = 4.0
    film.well(10).frame(down={"node-3": "hung"}).frame(down={"node-3": "hung"})
    assert set(verdict(film, "node_down").broken) == {"node-3"}


def test_an_observer_that_could_not_look_judges_nobody(film, verdict):
    film.well().frame(down={"node-1": "hung"}).frame(unknown=("node-1",))
    found = verdict(film, "node_down")
    assert not found.broken
    assert set(found.undecided) == {"node-1"}


def test_all_nodes_down_are_all_blamed_and_redis_is_not_a_node(film, verdict):
    film.well().frame(down=dict.fromkeys(("node-1", "node-2", "node-3", "redis"), "refused"))
    assert set(verdict(film, "node_down").broken) == {"node-1", "node-2", "node-3"}


def test_one_node_without_redis_is_blamed_itself_when_it_has_lasted(film, verdict):
    film.well()
    found = [verdict(film.frame(unready=("node-2",)), "redis_disconnected") for _ in range(3)]
    assert [set(each.broken) for each in found] == [set(), set(), {"node-2"}]
    assert set(found[0].undecided) == {"node-2"}
    assert "timeout" in found[-1].broken["node-2"].message


def test_redis_gone_is_one_ticket_and_the_nodes_are_undecided(film, verdict):
    nodes = ("node-1", "node-2", "node-3")
    found = verdict(film.well().frame(down={"redis": "refused"}, unready=nodes), "redis_disconnected")
    assert set(found.broken) == {"redis"}
    assert set(found.undecided) == set(nodes)


def test_redis_that_answers_the_observer_but_serves_no_node_is_blamed(film, verdict):
    nodes = ("node-1", "node-2", "node-3")
    found = verdict(film.well().frame(unready=nodes).frame(unready=nodes).frame(unready=nodes), "redis_disconnected")
    assert set(found.broken) == {"redis"}
    assert set(found.undecided) == set(nodes)


def test_the_last_live_node_without_redis_is_blamed_itself(film, verdict):
    down = {"node-1": "refused", "node-3": "refused"}
    film.well()
    for _ in range(3):
        film.frame(down=down, unready=("node-2",))
    assert set(verdict(film, "redis_disconnected").broken) == {"node-2"}


def test_nodes_that_come_back_one_after_another_are_not_blamed(film, verdict):
    film.well().frame(down={"redis": "refused"}, unready=("node-1", "node-2", "node-3"))
    film.frame(unready=("node-1", "node-2")).frame(unready=("node-1",))
    found = verdict(film, "redis_disconnected")
    assert not found.broken
    assert set(found.undecided) == {"node-1"}


def test_a_ticket_of_a_partition_does_not_close_because_redis_died_too(film, verdict):
    film.well().frame(unready=("node-2",)).frame(unready=("node-2",)).frame(unready=("node-2",))
    assert "node-2" in verdict(film, "redis_disconnected").broken
    film.frame(down={"redis": "refused"}, unready=("node-1", "node-2", "node-3"))
    found = verdict(film, "redis_disconnected")
    assert set(found.broken) == {"redis"}
    assert "node-2" in found.undecided


def test_a_node_that_is_down_may_or_may_not_reach_redis(film, verdict):
    found = verdict(film.well().frame(down={"node-2": "refused"}), "redis_disconnected")
    assert not found.broken
    assert set(found.undecided) == {"node-2"}
