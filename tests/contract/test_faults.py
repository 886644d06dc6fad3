"""Every fault against the real rate limiter: in force, found in time, lasting, and undone, twice in a row."""

import json
import time

import pytest

from operatorlab.deploy.kinds import attach
from operatorlab.monitor.tickets import TicketState
from operatorlab.subject import COMPOSE, PROCESSES, Fault, FaultKind
from subjects.ratelimiter.subject import RateLimiter

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
FOUND_WITHIN_S = 3.0  # on processes; each fault states its own bound for containers
CLOSED_WITHIN_S = 20.0
SLOW = pytest.mark.slow
every_fault = pytest.mark.parametrize("kind", RateLimiter.faults, ids=lambda kind: kind.name)


def every_fault_everywhere(test):
    """On every deployment; where the mechanism of a fault does not exist, the test is not collected (conftest.py)."""
    on = [pytest.param((PROCESSES, "steady"), id=PROCESSES), pytest.param((COMPOSE, "steady"), id=COMPOSE, marks=SLOW)]
    return pytest.mark.parametrize("lab", on, indirect=True)(every_fault(test))


def aimed(kind: type[Fault]) -> Fault:
    """The fault at its default target."""
    return kind(kind.targets(RateLimiter())[0])


async def inject(fault: Fault, lab):
    """Break it; the memo as another process would read it from the audit."""
    return json.loads(json.dumps(dict(await fault.inject(lab.deployment))))


def fingerprints(fault: Fault) -> set[str]:
    """The tickets of which one must open."""
    return {f"{invariant}/{fault.truth().component}" for invariant in fault.expected}


@every_fault_everywhere
async def test_found_in_time_lasting_and_healed_twice_in_a_row(lab, kind, record_property):
    within_s = FOUND_WITHIN_S if lab.deployment.kind == PROCESSES else kind.found_within_s
    for turn in (1, 2):
        await lab.healthy()
        fault = aimed(kind)
        assert not await fault.active(lab.deployment, {})

        injected = time.monotonic()
        memo = await inject(fault, lab)
        assert await fault.active(lab.deployment, memo)
        await lab.until(lambda _, f=fault: bool(found(lab, f)), within_s, "found")
        took = time.monotonic() - injected
        record_property(f"found_after_s_{turn}", round(took, 2))
        assert took < within_s
        (ticket, *_) = found(lab, fault)

        for _ in range(6):
            await lab.cycle()
            assert lab.board.ticket(ticket.id).is_live
        assert await fault.active(lab.deployment, memo)

        elsewhere = attach(lab.deployment.run_id)
        for _ in range(2):
            await kind(fault.target).heal(elsewhere, memo)
            assert not await fault.active(lab.deployment, memo)
        await lab.until(lambda _, t=ticket: not lab.board.ticket(t.id).is_live, CLOSED_WITHIN_S, "closed")
        assert lab.board.ticket(ticket.id).state is TicketState.SELF_HEALED


def found(lab, fault: Fault):
    return [ticket for ticket in map(lab.live, fingerprints(fault)) if ticket is not None]


@pytest.mark.slow
@every_fault_everywhere
async def test_blames_nobody_else(lab, kind):
    await lab.healthy()
    fault = aimed(kind)
    memo = await inject(fault, lab)
    try:
        seen = set()
        for _ in range(8):
            await lab.cycle()
            seen |= {ticket.fingerprint for ticket in lab.board.live()}
        assert seen
        assert seen <= fingerprints(fault)
    finally:
        await fault.heal(lab.deployment, memo)
    await lab.healthy()


@pytest.mark.slow
@every_fault_everywhere
async def test_heals_after_every_member_was_killed_meanwhile(lab, kind):
    await lab.healthy()
    fault = aimed(kind)
    memo = await inject(fault, lab)
    members = [member.name for member in RateLimiter.members]
    for member in members:
        await lab.deployment.kill(member)
    await fault.heal(lab.deployment, memo)
    for member in reversed(members):  # Redis first
        await lab.deployment.start(member)
    assert not await fault.active(lab.deployment, memo)
    await lab.healthy()


@pytest.mark.slow
@every_fault_everywhere
async def test_a_reset_undoes_it_and_heal_does_no_harm_afterwards(lab, kind):
    await lab.healthy()
    fault = aimed(kind)
    memo = await inject(fault, lab)
    await lab.deployment.reset(spare={lab.clients.pid})
    assert not await fault.active(lab.deployment, memo)
    await fault.heal(lab.deployment, memo)
    assert not await fault.active(lab.deployment, memo)
    await lab.healthy()


@every_fault
async def test_says_what_it_does(kind):
    targets = kind.targets(RateLimiter())
    assert len(set(targets)) == len(targets) > 0
    assert set(kind.expected) <= {rule.name for rule in RateLimiter.invariants}
    for target in targets:
        truth = kind(target).truth()
        assert truth.component == target
        assert truth.kind is kind.kind is not FaultKind.NONE
        assert truth.mechanism
        assert len(truth.causal_path) > 1


async def test_every_declared_key_can_be_misconfigured_and_the_override_before_comes_back(lab):
    await lab.healthy()
    kind = next(kind for kind in RateLimiter.faults if kind.name == "limit_misconfigured")
    assert kind.targets(RateLimiter()) == ("tenant-a", "tenant-b", "tenant-c", "canary")
    fault = kind("canary")
    first = await inject(fault, lab)
    again = await inject(fault, lab)  # on top of the first: its memo holds the first's limit
    assert again["old"] == str(first["set"])
    await lab.until(lambda _: lab.live("ghost_allowing/canary") is not None, FOUND_WITHIN_S, "found")
    await fault.heal(lab.deployment, again)
    assert await fault.active(lab.deployment, again)
    await fault.heal(lab.deployment, first)
    await lab.healthy()
