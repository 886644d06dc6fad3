"""Scenarios are values: the same from the same seed, different from another."""

from dataclasses import replace

import pytest

from eval.scenario import Broken, Scenario, composites_on, faults_on, parts_of, singles_on
from operatorlab.subject import COMPOSE, PROCESSES, Composite, Part
from subjects.ratelimiter.faults import FAULTS
from subjects.ratelimiter.subject import RateLimiter


class Plain(RateLimiter):
    composites = ()


SUBJECT = Plain()
CRASH, HANG = (next(fault for fault in FAULTS if fault.name == name) for name in ("node_crash", "node_hang"))


class Composed(RateLimiter):
    composites = (
        Composite("two nodes", "one after the other", (Part(CRASH, "node-1"), Part(HANG, "node-2", 0.5, 3.0)), "burst"),
    )


@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_a_seed_gives_the_same_scenario_again_and_another_seed_another(difficulty):
    drawn = [Scenario.draw(SUBJECT, seed, difficulty) for seed in range(300)]
    assert drawn == [Scenario.draw(SUBJECT, seed, difficulty) for seed in range(300)]
    assert len({one.id for one in drawn}) == 300
    assert all(len(one.parts) == difficulty for one in drawn)


def test_a_drawn_scenario_is_the_same_on_every_machine():
    # Pinned: a change here changes what every stored seed means.
    drawn = Scenario.draw(SUBJECT, 7, 2, PROCESSES)
    assert drawn.label == PINNED_LABEL
    assert drawn.id == PINNED_ID


PINNED_LABEL, PINNED_ID = "node_crash_loop@node-1+redis_maxmemory@redis", "814addf1dbde"


def test_there_are_more_than_a_million_distinct_scenarios():
    kinds = faults_on(SUBJECT, PROCESSES)
    single = sum(len(kind.targets(SUBJECT)) for kind in kinds.values())
    moments = 250  # of the injection, 10 ms apart
    assert single * moments * len(SUBJECT.loads) > 10_000
    pairs = single * (single - 1) // 2
    assert pairs * moments * 200 * len(SUBJECT.loads) > 10**6  # and the second fault has 200 moments of its own
    drawn = {Scenario.draw(SUBJECT, seed, 2).parts for seed in range(5_000)}
    assert len(drawn) > 4_000


def test_only_faults_that_exist_on_the_deployment_are_drawn():
    here = faults_on(SUBJECT, PROCESSES)
    assert "node_out_of_memory" not in here
    assert "redis_evicting" not in faults_on(SUBJECT, COMPOSE)
    drawn = {part.fault for seed in range(500) for part in Scenario.draw(SUBJECT, seed, 3).parts}
    assert drawn == set(singles_on(SUBJECT, PROCESSES))


def test_what_is_latent_is_drawn_only_with_what_sets_it_off():
    subject = RateLimiter()
    latent = set(faults_on(subject, PROCESSES)) - set(singles_on(subject, PROCESSES))
    assert latent == {kind.name for kind in subject.faults if kind.latent and PROCESSES in kind.deployments}
    drawn = [Scenario.draw(subject, seed, 2).parts for seed in range(500)]
    met = {parts for parts in drawn if latent & {part.fault for part in parts}}
    assert met
    assert met <= {parts_of(one) for one in composites_on(subject, PROCESSES).values()}


def test_composites_are_drawn_with_the_load_they_need():
    drawn = [Scenario.draw(Composed(), seed, 2) for seed in range(40)]
    composed = [one for one in drawn if one.parts[0] == Broken("node_crash", "node-1") and one.parts[1].lasts_s == 3.0]
    assert 5 < len(composed) < 35
    assert {one.load for one in composed} == {"burst"}


def test_what_is_harmless_is_no_trouble_to_draw_or_to_ask_for():
    harmless = {one.name: parts_of(one) for one in RateLimiter.composites if one.harmless}
    assert harmless
    assert not harmless.keys() & composites_on(RateLimiter(), PROCESSES).keys()
    assert not {*harmless.values()} & {Scenario.draw(RateLimiter(), seed, 2).parts for seed in range(500)}


def test_parts_are_aimed_at_different_members_where_there_are_some():
    for seed in range(200):
        nodes = [part.target for part in Scenario.draw(SUBJECT, seed, 3).parts if part.target.startswith("node-")]
        assert len(nodes) == len(set(nodes))


def test_the_same_trouble_under_another_seed():
    one = Scenario("ratelimiter", parts=(Broken("node_crash", "node-2"),))
    assert one.again(1) == one.again(1)
    assert one.again(1).id != one.again(2).id != one.id
    assert replace(one.again(1), seed=one.seed, injected_after_s=one.injected_after_s) == one


def test_what_people_call_it():
    assert Scenario("ratelimiter").label == "nothing"
    assert Scenario("ratelimiter").is_control
    parts = (Broken("node_crash", "node-2"), Broken("redis_hang", "redis", 1.0))
    assert Scenario("ratelimiter", parts=parts, noise=("alarming_log",)).label == (
        "node_crash@node-2+redis_hang@redis (alarming_log)"
    )
    assert Scenario("ratelimiter", parts=parts, recovered=True).is_control
    duplicated = Scenario("ratelimiter", parts=parts[:1], duplicated=True)
    assert duplicated.is_control
    assert duplicated.label == "node_crash@node-2 (duplicates)"
    assert duplicated.id != replace(duplicated, duplicated=False).id
