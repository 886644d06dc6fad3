"""Composites: how they are put together, and what of a declared one is a breach."""

from dataclasses import replace
from typing import Any

import pytest

from operatorlab.composites import (
    again,
    briefly,
    deployments,
    hit,
    in_turn,
    lasting,
    later,
    metastable,
    problems,
    together,
)
from operatorlab.errors import ContractBroken, UnknownName
from operatorlab.registry import find_composite
from operatorlab.subject import COMPOSE, PROCESSES, Composite, Part, Subject
from operatorlab.validate import check
from subjects.ratelimiter.subject import RateLimiter

CRASH, SLOW = (next(f for f in RateLimiter.faults if f.name == name) for name in ("node_crash", "redis_latency"))
FULL = next(f for f in RateLimiter.faults if f.name == "redis_disk_full")
WATCHED = next(f for f in RateLimiter.faults if f.name == "self_healing_crash")


def times(plan) -> list[tuple[float, float | None]]:
    return [(part.after_s, part.lasts_s) for part in plan]


def test_the_algebra_moves_and_bounds_parts_and_changes_nothing_else():
    one, other = hit(CRASH, "node-1"), hit(SLOW, "node-2")
    assert one == (Part(CRASH, "node-1"),)
    assert together(one, other) == one + other
    assert times(later(one, 2.5)) == [(2.5, None)]
    assert times(briefly(together(one, later(other, 1.0)), 3.0)) == [(0.0, 3.0), (1.0, 3.0)]
    assert times(in_turn(one, other, one, every_s=2.0)) == [(0.0, None), (2.0, None), (4.0, None)]
    assert times(again(briefly(one, 0.5), times=3, every_s=2.0)) == [(0.0, 0.5), (2.0, 0.5), (4.0, 0.5)]
    assert {part.fault for part in again(one, times=2, every_s=1.0)} == {CRASH}


def test_a_composite_exists_where_all_of_its_parts_do():
    def made(*faults):
        return Composite("made", "made", together(*(hit(fault, "node-1") for fault in faults)))

    assert deployments(made(CRASH, SLOW)) == (PROCESSES, COMPOSE)
    assert deployments(made(CRASH, WATCHED)) == (PROCESSES,)
    assert deployments(made(FULL)) == (COMPOSE,)
    assert deployments(made(FULL, WATCHED)) == ()
    assert find_composite(RateLimiter(), "node_crash") is None

    class Own(RateLimiter):
        composites = (made(CRASH, WATCHED),)

    assert find_composite(Own(), "made", deployment=PROCESSES) is not None
    with pytest.raises(UnknownName, match="composite of a lab of compose"):
        find_composite(Own(), "made", deployment=COMPOSE)


def test_what_stays_is_what_has_no_end():
    plan = together(briefly(hit(CRASH, "node-1"), 1.0), hit(SLOW, "node-2"))
    assert lasting(Composite("x", "x", plan)) == hit(SLOW, "node-2")


LATENT = type("Latent", (CRASH,), {"latent": True})


def test_a_failure_stays_where_something_latent_does():
    set_off = together(hit(LATENT, "node-1"), briefly(hit(SLOW, "node-2"), 1.0))
    assert metastable(Composite("x", "x", set_off))
    assert not metastable(Composite("x", "x", briefly(set_off, 1.0)))
    assert not metastable(Composite("x", "x", hit(CRASH, "node-1")))
    assert not metastable(Composite("x", "x", together(hit(LATENT, "node-1"), hit(SLOW, "node-2"))))


GOOD = Composite("good", "good", hit(CRASH, "node-1"))


def told_of(*composites: Any) -> list[str]:
    subject: Subject = type("Mine", (RateLimiter,), {"composites": composites})()
    return list(problems(subject))


@pytest.mark.parametrize(
    ("composite", "told"),
    [
        ("x", "must be a tuple of Composite"),
        (replace(GOOD, name="node_crash"), "'node_crash' is the name of more than one"),
        (replace(GOOD, name="a b"), "needs a name"),
        (replace(GOOD, summary=" "), "and a summary"),
        (replace(GOOD, load="heavy"), "needs the load 'heavy', which the subject does not have"),
        (replace(GOOD, parts=()), "it has no parts"),
        (replace(GOOD, parts=together(hit(FULL, "redis"), hit(WATCHED, "node-1"))), "on no deployment together"),
        (replace(GOOD, parts=hit(type("Other", (CRASH,), {}), "node-1")), "is no fault of the subject"),
        (replace(GOOD, parts=hit(CRASH, "node-9")), "node_crash has no target 'node-9'"),
        (replace(GOOD, parts=later(GOOD.parts, -1)), "after_s must be seconds from 0 on"),
        (replace(GOOD, parts=briefly(GOOD.parts, 0)), "lasts_s must be seconds above 0"),
        (replace(GOOD, parts=hit(LATENT, "node-1")), "nothing sets off what is latent in it"),
        (replace(GOOD, parts=GOOD.parts * 2), "the same fault of the same target stays twice"),
    ],
)
def test_a_breach_is_told(composite: Any, told: str):
    assert [problem for problem in told_of(composite) if told in problem]


def test_good_ones_and_a_control_without_parts_are_no_breach():
    assert told_of(GOOD, Composite("quiet", "nothing", (), harmless=True)) == []


def test_names_are_taken_once_and_a_subject_is_refused_for_it():
    assert told_of(GOOD, GOOD)
    with pytest.raises(ContractBroken, match="more than one"):
        check(type("Mine", (RateLimiter,), {"composites": (GOOD, GOOD)})())
