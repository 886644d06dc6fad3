"""Every composite against the real rate limiter: its parts at their times, each found, all undone, twice in a row."""

import asyncio
import contextlib

import pytest

from operatorlab.audit import AuditStore
from operatorlab.composites import deployments, lasting
from operatorlab.deploy.kinds import attach
from operatorlab.errors import BadParameter
from operatorlab.injection import Injections
from operatorlab.subject import COMPOSE, PROCESSES, Composite
from subjects.ratelimiter.subject import RateLimiter

from .fresh import picture

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
FOUND_WITHIN_S = 15.0
LATE_S = 3.0  # a part that starts a node anew takes that long, and the others may wait for it
QUIET_CYCLES = 12
SLOW = pytest.mark.slow
AT_ONCE = ("two_nodes_at_once", "short_pause")


def every(composites):
    def on(kind):
        known = [one for one in composites if kind in deployments(one)]
        quick = {one.name for one in known if kind == PROCESSES and one.name in AT_ONCE}
        marks = {one.name: () if one.name in quick else SLOW for one in known}
        lab = (kind, "steady", "patient") if all(one.harmless for one in composites) else (kind, "steady")
        return [pytest.param(lab, one, id=f"{one.name}-{kind}", marks=marks[one.name]) for one in known]

    return pytest.mark.parametrize(("lab", "composite"), [*on(PROCESSES), *on(COMPOSE)], indirect=["lab"])


HARMFUL = [one for one in RateLimiter.composites if not one.harmless]
HARMLESS = [one for one in RateLimiter.composites if one.harmless]


@every(HARMFUL)
async def test_each_part_has_its_time_each_lasting_one_is_found_and_all_is_healed_twice_in_a_row(lab, composite):
    await lab.healthy()
    before = await picture(lab)
    for _ in range(2):
        await lab.healthy()
        known = {ticket.id for ticket in lab.board.tickets()}
        async with lab.played(composite) as injected:
            planned = sorted(composite.parts, key=lambda part: part.after_s)
            assert {(one.name, one.target) for one in injected.parts} == {(p.fault.name, p.target) for p in planned}
            for part, due in zip(injected.parts, sorted(part.after_s for part in planned), strict=True):
                assert -0.1 < part.at.since(injected.at) - due < LATE_S
            stay = {(part.fault.name, part.target) for part in lasting(composite)}
            unhealed = [one for one in injected.parts if one in lab.injections.unhealed()]
            assert {(one.name, one.target) for one in unhealed} == stay
            assert all([await lab.injections.active(one) for one in unhealed])
            assert await lab.injections.active(injected)

            seen = set()

            def all_found(_, known=known, seen=seen):
                seen |= {ticket.fingerprint for ticket in lab.board.tickets() if ticket.id not in known}
                return all(part.fault(part.target).signs() & seen for part in lasting(composite))

            await lab.until(all_found, FOUND_WITHIN_S, "all found")
            for _ in range(2):
                await lab.injections.heal(injected)
            assert not await lab.injections.active(injected)
            assert not lab.injections.unhealed()
        await lab.healthy()
        assert await picture(lab) == before


@every(HARMLESS)
async def test_a_control_opens_no_ticket(lab, composite):
    await lab.healthy()
    before = await picture(lab)
    known = {ticket.id for ticket in lab.board.tickets()}
    async with lab.played(composite) as injected:
        for _ in range(QUIET_CYCLES):
            await lab.cycle()
        assert [ticket for ticket in lab.board.tickets() if ticket.id not in known] == []
        assert not await lab.injections.active(injected)
        await lab.injections.heal(injected)
    assert await picture(lab) == before


async def test_what_began_is_healed_from_the_audit_alone_when_its_play_is_cut_short(lab):
    await lab.healthy()
    playing = asyncio.create_task(lab.injections.inject("crash_behind_partition"))
    while not lab.injections.unhealed():
        await lab.cycle()
    playing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await playing
    (begun,) = lab.injections.unhealed()
    assert begun.name == "redis_partition"
    await lab.injections.heal(begun)
    assert not await lab.injections.active(begun)
    await lab.healthy()


async def test_a_composite_says_itself_what_it_is_aimed_at(lab):
    with pytest.raises(BadParameter, match="says itself"):
        await lab.injections.inject("two_nodes_at_once", "node-1")


class Needing(RateLimiter):
    composites = (Composite("needing", "needs a load", RateLimiter.composites[0].parts, load="full"),)


async def test_a_composite_that_needs_a_load_is_refused_under_another(lab):
    deployment = attach(lab.deployment.run_id)
    deployment.subject = Needing()
    with AuditStore(lab.audit) as store, pytest.raises(BadParameter, match="needs the load 'full', not 'steady'"):
        await Injections(store, deployment).inject("needing", load="steady")


async def test_there_are_ten_and_controls():
    assert len(HARMFUL) >= 10
    assert len(HARMLESS) >= 3
