"""Every fault against the real rate limiter: in force, found in time, lasting, repaired, and undone, twice in a row."""

import time

import pytest

from operatorlab.deploy.kinds import attach
from operatorlab.monitor.tickets import TicketState
from operatorlab.subject import COMPOSE, PROCESSES, Fault, FaultKind, NodeState
from subjects.ratelimiter.past_links import asking
from subjects.ratelimiter.subject import RateLimiter

from .fresh import picture

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
FOUND_WITHIN_S = 3.0  # on processes, unless a fault states a bound of its own; for containers each states its own
CLOSED_WITHIN_S = 20.0
FIXED_WITHIN_S = 30.0
HEALED_WITHIN_S = 90.0
SLOW = pytest.mark.slow
AT_ONCE = (
    "node_crash",
    "redis_partition",
    "limit_misconfigured",
    "redis_flush",
)  # one of each sort; the others are slow
SHOWN = [kind for kind in RateLimiter.faults if not kind.latent]  # the others: test_metastable.py
every_fault = pytest.mark.parametrize("kind", RateLimiter.faults, ids=lambda kind: kind.name)
every_shown_fault = pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: kind.name)
on_compose = pytest.param((COMPOSE, "steady"), id=COMPOSE, marks=SLOW)


def everywhere(test):
    """On every deployment; where the mechanism of a fault does not exist, the test is not collected (conftest.py)."""
    on = [pytest.param((PROCESSES, "steady"), id=PROCESSES), on_compose]
    return pytest.mark.parametrize("lab", on, indirect=True)(test)


def every_fault_everywhere(test):
    return everywhere(every_fault(test))


def most_are_slow(test):
    kinds = [pytest.param(kind, id=kind.name, marks=() if kind.name in AT_ONCE else SLOW) for kind in SHOWN]
    return everywhere(pytest.mark.parametrize("kind", kinds)(test))


def aimed(kind: type[Fault]) -> Fault:
    """The fault at its default target."""
    return kind(kind.targets(RateLimiter())[0])


def bound(lab, kind: type[Fault]) -> float:
    usual = kind.found_within_s == Fault.found_within_s
    return FOUND_WITHIN_S if usual and lab.deployment.kind == PROCESSES else kind.found_within_s


@most_are_slow
async def test_found_in_time_lasting_and_healed_twice_in_a_row(lab, kind, record_property):
    within_s, fault = bound(lab, kind), aimed(kind)
    await lab.healthy()
    before = await picture(lab)
    for turn in (1, 2):
        await lab.healthy()
        assert not await fault.active(lab.deployment, {})

        injected = time.monotonic()
        async with lab.broken(fault) as memo:
            assert await fault.active(lab.deployment, memo)
            ticket = await lab.found(fault, within_s)
            took = time.monotonic() - injected
            record_property(f"found_after_s_{turn}", round(took, 2))
            assert took < within_s

            for _ in range(6):
                await lab.cycle()
                assert lab.board.ticket(ticket.id).is_live
            assert await fault.active(lab.deployment, memo)

            elsewhere = attach(lab.deployment.run_id)
            for _ in range(2):
                await kind(fault.target).heal(elsewhere, memo)
                assert not await fault.active(lab.deployment, memo)
            await lab.closed(ticket, CLOSED_WITHIN_S)
        assert lab.board.ticket(ticket.id).state is TicketState.SELF_HEALED
        await lab.healthy()
        assert await picture(lab) == before


@everywhere
@every_shown_fault
async def test_the_reference_fix_repairs_it_and_leaves_a_system_as_new(lab, kind):
    await lab.healthy()
    fault, before = aimed(kind), await picture(lab)
    commands = fault.fix(lab.deployment)
    assert commands
    async with lab.broken(fault) as memo, lab.deployment.sandbox(lab.audit) as shell:
        ticket = await lab.found(fault, bound(lab, kind))
        for command in commands:
            done = await shell.exec(command, FIXED_WITHIN_S)
            assert done.exit_code == 0, (command, done)
            assert not done.left_running, command
        assert not await fault.active(lab.deployment, memo)
        await lab.closed(ticket, CLOSED_WITHIN_S)
        await lab.healthy()
        assert await picture(lab) == before
    await lab.healthy()
    assert await picture(lab) == before


@pytest.mark.slow
@everywhere
@every_shown_fault
async def test_blames_nobody_else(lab, kind):
    await lab.healthy()
    fault = aimed(kind)
    known = {ticket.id for ticket in lab.board.tickets()}
    async with lab.broken(fault):
        await lab.found(fault, bound(lab, kind))
        for _ in range(8):
            await lab.cycle()
        seen = {ticket.fingerprint for ticket in lab.board.tickets() if ticket.id not in known}
        besides = {fingerprint for fingerprint in seen if fingerprint.partition("/")[0] in kind.also}
        assert seen - besides <= fault.signs()
    await lab.healthy()


@everywhere
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(one, id=one.name, marks=() if one.name == "redis_crash" else SLOW)
        for one in SHOWN
        if aimed(one).truth().spread
    ],
)
async def test_goes_where_its_ground_truth_says(lab, kind):
    await lab.healthy()
    fault = aimed(kind)
    effects = {effect for _, effect in fault.truth().spread}
    async with lab.broken(fault):
        await lab.until(lambda cycle: effects <= suffering(cycle), bound(lab, kind), f"in trouble: {effects}")
    await lab.healthy()


def suffering(cycle) -> set[str]:
    """Who says that it cannot work, or is slow."""
    slow = [name for found in cycle.findings for name in getattr(found, "evidence", {}).get("p99_s", ())]
    return {node.name for node in cycle.observation.nodes if node.state is not NodeState.UP} | set(slow)


@pytest.mark.slow
@everywhere
@pytest.mark.parametrize("kind", [one for one in SHOWN if one.self_healing], ids=lambda kind: kind.name)
async def test_what_heals_by_itself_does_so_twice_in_a_row(lab, kind):
    await lab.healthy()
    fault, before = aimed(kind), await picture(lab)
    for _ in range(2):
        async with lab.broken(fault) as memo:
            ticket = await lab.found(fault, bound(lab, kind))
            assert await fault.active(lab.deployment, memo)
            await lab.closed(ticket, HEALED_WITHIN_S)
            assert not await fault.active(lab.deployment, memo)
            assert lab.board.ticket(ticket.id).state is TicketState.SELF_HEALED
            await lab.healthy()
            assert await picture(lab) == before


@pytest.mark.slow
@every_fault_everywhere
async def test_heals_after_every_member_was_killed_meanwhile(lab, kind):
    await lab.healthy()
    fault, before = aimed(kind), await picture(lab)
    async with lab.broken(fault) as memo:
        members = [member.name for member in RateLimiter.members]
        for member in members:
            await lab.deployment.kill(member)
        await fault.heal(lab.deployment, memo)
        for member in reversed(members):  # Redis first
            await lab.deployment.start(member)
        assert not await fault.active(lab.deployment, memo)
    await lab.healthy()
    assert await picture(lab) == before


@pytest.mark.slow
@every_fault_everywhere
async def test_a_reset_undoes_it_and_heal_does_no_harm_afterwards(lab, kind):
    await lab.healthy()
    fault, before = aimed(kind), await picture(lab)
    async with lab.broken(fault) as memo:
        await lab.deployment.reset(spare={lab.clients.pid})
        assert not await fault.active(lab.deployment, memo)
        await fault.heal(lab.deployment, memo)
        assert not await fault.active(lab.deployment, memo)
    await lab.healthy()
    assert await picture(lab) == before


@every_fault
async def test_says_what_it_does(kind):
    targets = kind.targets(RateLimiter())
    assert len(set(targets)) == len(targets) > 0
    known = {rule.name for rule in RateLimiter.invariants}
    assert {one.partition("/")[0] for one in (*kind.expected, *kind.also)} <= known
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
    async with lab.broken(fault) as first:
        async with lab.broken(fault) as again:  # on top of the first: its memo holds the first's limit
            assert again["old"] == str(first["set"])
            await lab.found(fault, FOUND_WITHIN_S)
        assert await fault.active(lab.deployment, again)
    await lab.healthy()


async def test_a_limit_is_set_although_nodes_cannot_at_first(lab):
    await lab.healthy()
    fault = aimed(next(kind for kind in RateLimiter.faults if kind.name == "limit_misconfigured"))
    async with asking(lab.deployment) as redis:
        await redis.client_pause(700, all=False)  # longer than the nodes wait for it; it answers whoever only reads
    async with lab.broken(fault) as memo:
        assert await fault.active(lab.deployment, memo)
    await lab.healthy()


async def test_a_failure_meanwhile_is_undone_and_passed_on(lab):
    await lab.healthy()
    fault = aimed(next(kind for kind in RateLimiter.faults if kind.name == "node_crash"))
    with pytest.raises(RuntimeError, match="a test failed"):
        async with lab.broken(fault):
            raise RuntimeError("a test failed")
    assert not await fault.active(lab.deployment, {})
    await lab.healthy()
