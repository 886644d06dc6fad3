"""node_down and redis_disconnected."""

from dataclasses import replace

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


def test_one_short_outage_such_as_a_restart_holds_as_soon_as_it_is_over(film, verdict):
    found = verdict(film.well().frame(down={"node-2": "refused"}).frame(), "node_down")
    assert not found.broken
    assert not found.undecided


def test_the_pauses_of_a_node_that_is_down_again_and_again_acquit_nobody(film, verdict):
    film.well()
    for _ in range(2):
        film.frame(down={"node-2": "refused"}).frame()
    found = verdict(film, "node_down")
    assert not found.broken
    assert "2 times" in found.undecided["node-2"].why
    assert not verdict(film.well(6.0), "node_down").undecided


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


def flap(film, times: int):
    """Redis is lost for 0.52 s of each second, again and again."""
    film.step_s = 0.25
    for _ in range(times):
        film.frame(unready=("node-2",)).frame(unready=("node-2",)).frame(unready=("node-2",)).frame()
    return film


def test_a_node_that_loses_redis_again_and_again_is_blamed_although_no_loss_lasts(film, verdict):
    flap(film.well(), 3)
    found = [verdict(film.frame(unready=("node-2",)), "redis_disconnected") for _ in range(3)]
    assert [set(each.broken) for each in found] == [set(), {"node-2"}, {"node-2"}]


def test_the_pauses_of_a_flapping_node_acquit_nobody(film, verdict):
    found = verdict(flap(film.well(), 4), "redis_disconnected")
    assert not found.broken
    assert set(found.undecided) == {"node-2"}
    film.well(5.0)
    assert not verdict(film, "redis_disconnected").undecided


def test_three_short_losses_are_nobodys_fault(film, verdict):
    found = verdict(flap(film.well(), 3), "redis_disconnected")
    assert not found.broken
    assert not found.undecided


def test_one_long_loss_that_is_over_is_over_at_once(film, verdict):
    film.well()
    for _ in range(6):
        film.frame(unready=("node-2",))
    assert not verdict(film.frame(), "redis_disconnected").undecided


def test_one_reading_that_took_very_long_proves_no_loss(film, verdict):
    film.well().frame(unready=("node-2",))
    film.frames[-1] = replace(film.frames[-1], duration_s=5.0)
    assert not verdict(film, "redis_disconnected").broken


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
