"""Metastable failures against the real rate limiter: what is latent shows nothing; once set off, the failure stays.

It stays although its trigger is gone, until somebody repairs it.
"""

import pytest

from operatorlab.composites import lasting, metastable
from operatorlab.subject import COMPOSE, PROCESSES
from subjects.ratelimiter.subject import RateLimiter

from .fresh import picture

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
HOLD_S = 15.0
FOUND_WITHIN_S = 15.0
CLOSED_WITHIN_S = 20.0
FIXED_WITHIN_S = 30.0
LATENT = [kind for kind in RateLimiter.faults if kind.latent]
METASTABLE = [one for one in RateLimiter.composites if metastable(one)]


def named(values, argument):
    everywhere = pytest.mark.parametrize(
        "lab", [(PROCESSES, "steady"), (COMPOSE, "steady")], indirect=True, ids=(PROCESSES, COMPOSE)
    )
    return lambda test: everywhere(pytest.mark.parametrize(argument, values, ids=lambda one: one.name)(test))


async def watched(lab, for_s):
    """The cycles of the next `for_s` seconds."""
    cycle = await lab.cycle()
    until = cycle.observation.monotonic + for_s
    while cycle.observation.monotonic < until:
        yield cycle
        cycle = await lab.cycle()


@named(LATENT, "kind")
async def test_what_is_latent_opens_nothing_and_is_healed(lab, kind):
    await lab.healthy()
    before = await picture(lab)
    fault = kind(kind.targets(RateLimiter())[0])
    known = {ticket.id for ticket in lab.board.tickets()}
    async with lab.broken(fault) as memo:
        await lab.healthy()
        async for _ in watched(lab, HOLD_S):
            opened = {ticket.fingerprint for ticket in lab.board.tickets() if ticket.id not in known}
            assert not opened & fault.signs()
            assert {fingerprint.partition("/")[0] for fingerprint in opened} <= {*fault.also}
        assert await fault.active(lab.deployment, memo)
        for _ in range(2):
            await fault.heal(lab.deployment, memo)
            assert not await fault.active(lab.deployment, memo)
    await lab.healthy()
    assert await picture(lab) == before


@named(METASTABLE, "composite")
async def test_the_failure_stays_without_its_trigger_until_it_is_fixed_twice_in_a_row(lab, composite):
    await lab.healthy()
    before = await picture(lab)
    stays = [part.fault(part.target) for part in lasting(composite)]
    for _ in range(2):
        await lab.healthy()
        async with lab.played(composite) as injected:
            ticket = await lab.found(stays[0], FOUND_WITHIN_S)
            triggers = [part for part in injected.parts if part not in lab.injections.unhealed()]
            assert triggers
            async for _ in watched(lab, HOLD_S):
                assert lab.board.ticket(ticket.id).is_live
            assert not any([await lab.injections.active(part) for part in triggers])
            besides = {one.fingerprint for one in lab.board.live()} - {ticket.fingerprint}
            assert {fingerprint.partition("/")[0] for fingerprint in besides} <= {*stays[0].also}

            async with lab.deployment.sandbox(lab.audit) as shell:
                for command in [command for fault in stays for command in fault.fix(lab.deployment)]:
                    done = await shell.exec(command, FIXED_WITHIN_S)
                    assert done.exit_code == 0, (command, done)
            assert not await lab.injections.active(injected)
            await lab.closed(ticket, CLOSED_WITHIN_S)
            await lab.healthy()
            assert await picture(lab) == before
            await lab.injections.heal(injected)
            assert not lab.injections.unhealed()
        await lab.healthy()
        assert await picture(lab) == before


async def test_there_is_one_of_each():
    assert LATENT
    assert METASTABLE
