"""The main job, end to end, on real processes: break, detect, operate, verify, heal."""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import pytest

from eval.scenario import singles_on
from operatorlab import AuditStore, Lab
from operatorlab.agent import Budget, Instructions, Outcome, SessionResult
from operatorlab.errors import BadParameter, StartFailed, TimedOut, UnknownName
from operatorlab.monitor.tickets import TicketState
from operatorlab.subject import COMPOSE, PROCESSES, Fault
from operatorlab.tryout import Result, first_sign, result_of, try_faults
from subjects.ratelimiter.subject import RateLimiter

FAULTS = {fault.name: fault for fault in RateLimiter.faults if not fault.latent}
DETECT_WITHIN_S = 3.0  # on processes; each fault states its own bound for containers
FORGOTTEN_WITHIN_S = 15.0
# What the runbook sees and hands to a person, with whether it names the right component.
HANDED_OVER = {
    "node_crash_loop": True,
    "redis_client_pause": False,  # it takes each node's path to Redis for cut
    "redis_evicting": True,
    "redis_flush": False,  # it does not ask Redis who its clients are
    "redis_maxclients": True,
    "redis_maxmemory": True,
    "redis_password": True,
    "redis_readonly": True,
    "redis_slow_script": False,
    "registry_ghost": False,
}
# Of lost packets the runbook sees sometimes one thing, sometimes another. The clients of the other two it leaves, and
# on a busy machine a node that is wide again may be late for them all the same. Not tried here.
UNSURE = {"redis_loss", "hot_key", "thundering_herd"}
REPAIRED = sorted(set(FAULTS) - UNSURE - set(HANDED_OVER))
AT_ONCE = (
    "node_crash",
    "node_crash_loop",
    "redis_password",
    "redis_partition",
    "registry_ghost",
)  # the others are slow


def some(names: Iterable[tuple[Any, ...]]) -> list[Any]:
    """A parameter for each name; but for a few the tests of it are slow."""
    return [pytest.param(*one, id=one[0], marks=() if one[0] in AT_ONCE else pytest.mark.slow) for one in names]


QUICK = {(PROCESSES, name) for name in (*AT_ONCE, "limit_misconfigured", "metrics_dead", "node_hang", "redis_crash")}
EVERYWHERE = [
    pytest.param(*one, id="-".join(one), marks=() if one in QUICK else pytest.mark.slow)
    for one in (*product((PROCESSES, COMPOSE), REPAIRED), (COMPOSE, "node_crash_loop"))  # a container is made anew
    if one[0] in FAULTS[one[1]].deployments
]


@pytest.fixture
def deployment(request: pytest.FixtureRequest) -> str:
    """How the lab is brought up; skips where that cannot be had."""
    if request.param == COMPOSE:
        request.getfixturevalue("containers")
    return str(request.param)


@pytest.mark.parametrize(("deployment", "name"), EVERYWHERE, indirect=["deployment"])
async def test_the_runbook_repairs_each_fault_and_the_monitor_verifies_it(deployment: str, name: str):
    async with Lab("ratelimiter", deployment=deployment, grace_s=0, hold_s=1.0) as lab:
        fault = await lab.inject(name)
        usual = FAULTS[name].found_within_s == Fault.found_within_s
        within_s = DETECT_WITHIN_S if usual and deployment == PROCESSES else FAULTS[name].found_within_s
        ticket = await first_sign(lab, fault, within_s + 5)
        assert ticket.opened.since(fault.at) <= within_s

        session = await lab.operate(ticket)
        assert session.outcome is Outcome.RESOLVED_VERIFIED, session
        assert session.report is not None
        assert session.report.blamed
        assert not await lab.active(fault)
        for other in lab.board.live():  # of a node that went down twice, to be told wrong and right: it takes a window
            await lab.board.closed(other.incident, FORGOTTEN_WITHIN_S)
        assert not lab.board.live()

        await lab.heal(fault)
        await lab.healthy()
        assert lab.store.verify().ok
        run = lab.run_id
    with AuditStore() as store:
        (row,) = store.db.query("select outcome from sessions where run = ?", [run])
        assert row["outcome"] == "resolved_verified"
        (sampled,) = store.db.query("select sum(allowed) as allowed from client_samples where run = ?", [run])
        assert sampled["allowed"] > 0


@pytest.mark.parametrize(("name", "blames_right"), some(HANDED_OVER.items()))
async def test_what_the_runbook_cannot_repair_it_hands_over(name: str, blames_right: bool):
    async with Lab("ratelimiter", grace_s=0, hold_s=1.0) as lab:
        fault = await lab.inject(name)
        session = await lab.operate(await first_sign(lab, fault, 10))
        assert session.outcome is Outcome.ESCALATED
        assert session.report is not None
        assert (session.report.blamed == (FAULTS[name](fault.target).truth().component,)) is blames_right
        assert await lab.active(fault)
        await lab.heal(fault)
        await lab.healthy()


@pytest.mark.parametrize("name", some([(name,) for name in sorted(singles_on(RateLimiter(), PROCESSES))]))
async def test_the_idle_baseline_resolves_nothing_and_heal_undoes_each_fault(name: str):
    async with Lab("ratelimiter", grace_s=0, hold_s=0.5) as lab:
        fault = await lab.inject(name)
        ticket = await first_sign(lab, fault, 10)
        given: dict[str, Any] = {"instructions": Instructions("Be idle."), "gate": "deny_destructive"}
        session = await lab.operate(ticket, brain="noop", verify_s=2.0, budget=Budget(shown_chars=99), **given)
        assert session.outcome is not Outcome.RESOLVED_VERIFIED
        (equipped,) = lab.store.events(kinds=["session.equipped"])
        assert "Be idle." in str(equipped.payload["system"])
        assert (equipped.payload["gate"], equipped.payload["mode"]) == ("deny_destructive", "operate")
        assert equipped.payload["limits"] == asdict(Budget(shown_chars=99))
        assert await lab.active(fault)
        assert lab.board.ticket(ticket.id).is_live

        await lab.heal(fault)
        await lab.board.closed(ticket.incident, timeout_s=20)
        assert not await lab.active(fault)
        assert lab.board.ticket(ticket.id).state is TicketState.SELF_HEALED
        await lab.healthy()


async def test_a_composite_is_injected_found_operated_on_and_healed():
    async with Lab("ratelimiter", grace_s=0, hold_s=1.0) as lab:
        both = await lab.inject("two_nodes_at_once")
        assert [(part.name, part.target) for part in both.parts] == [("node_crash", "node-1"), ("node_hang", "node-2")]
        (rows,) = lab.store.db.query("select count(*) as n from faults where healed_at is null")
        assert rows["n"] == 2
        ticket = await lab.next_ticket(timeout_s=10)
        session = await lab.operate(ticket)
        assert session.outcome is Outcome.RESOLVED_VERIFIED
        await lab.heal(both)
        assert not await lab.active(both)
        await lab.healthy()
        with pytest.raises(UnknownName, match="did you mean 'two_nodes_at_once'"):
            await lab.inject("two_nodes_at_onc")


@pytest.mark.slow
async def test_trying_says_what_became_of_each_fault():
    tried = [
        one async for one in try_faults("ratelimiter", deployment=PROCESSES, names=("node_crash", "redis_password"))
    ]
    assert [(one.fault, one.target, one.result, one.right) for one in tried] == [
        ("node_crash", "node-1", Result.REPAIRED, True),
        ("redis_password", "redis", Result.ESCALATED, True),
    ]


async def test_trying_what_does_not_exist_there_is_refused_before_anything_starts():
    with pytest.raises(UnknownName, match="redis_disk_full"):
        _ = [one async for one in try_faults("ratelimiter", deployment=PROCESSES, names=("redis_disk_full",))]


@pytest.mark.slow
async def test_what_an_operator_broke_besides_is_harm_and_what_it_left_in_force_is_no_repair():
    async with Lab("ratelimiter", grace_s=0, hold_s=1.0) as lab:
        said = SessionResult("x", Outcome.RESOLVED_VERIFIED, None, 1, 0.0)
        fault = await lab.inject("node_crash", "node-1")
        assert await result_of(lab, fault, said) is Result.FAILED
        fault = await lab.inject("node_crash", "node-1")
        await lab.deployment.kill("node-2")
        assert await result_of(lab, fault, said) is Result.HARMED
        await lab.deployment.start("node-2")
        await lab.healthy()


async def test_a_reset_undoes_a_fault_under_the_same_clients():
    async with Lab("ratelimiter", grace_s=0, hold_s=0.5) as lab:
        fault = await lab.inject("limit_misconfigured")
        ticket = await lab.next_ticket(timeout_s=10)
        await lab.reset()
        assert not await lab.active(fault)
        await lab.board.closed(ticket.incident, timeout_s=20)
        answered = "select total(allowed) as n from client_samples"
        (before,) = lab.store.db.query(answered)
        for _ in range(8):
            await lab.monitor.next_cycle()
        (after,) = lab.store.db.query(answered)
        assert after["n"] > before["n"]


async def test_two_labs_run_side_by_side_and_do_not_see_each_other():
    async with Lab("ratelimiter", load="none", grace_s=0) as one, Lab("ratelimiter", load="none", grace_s=0) as other:
        assert one.run_id != other.run_id
        await one.inject("node_crash", target="node-3")
        ticket = await one.next_ticket()
        assert ticket.component == "node-3"
        await other.monitor.next_cycle()
        assert not other.board.tickets()


async def test_unknown_names_say_what_there_is(own_home: Path):
    with pytest.raises(UnknownName, match="did you mean 'ratelimiter'"):
        Lab("ratelimter")
    with pytest.raises(UnknownName, match="steady"):
        Lab("ratelimiter", load="stedy")
    with pytest.raises(UnknownName, match="processes"):
        Lab("ratelimiter", deployment="process")
    with pytest.raises(BadParameter, match="not started"):
        _ = Lab("ratelimiter").run_id
    async with Lab("ratelimiter", load="none") as lab:
        with pytest.raises(UnknownName, match="did you mean 'node_crash'"):
            await lab.inject("node_crsh")
        with pytest.raises(UnknownName, match="did you mean 'node-2'"):
            await lab.inject("node_crash", target="node2")
        with pytest.raises(TimedOut, match="no ticket"):
            await lab.next_ticket(timeout_s=0.5)
        (faults,) = lab.store.db.query("select count(*) as n from faults")
        assert faults["n"] == 0


async def test_a_lab_explains_itself_in_one_line_and_as_escaped_html():
    lab = Lab("ratelimiter", load="none")
    assert repr(lab) == "<Lab ratelimiter: not started>"
    async with lab:
        assert lab.run_id in repr(lab)
        assert len(repr(lab)) <= 100
        assert lab.run_id in lab._repr_html_()


async def test_a_failed_start_leaves_nothing_running(tmp_path: Path):
    store = AuditStore(tmp_path / "audit.db")
    store.close()
    with pytest.raises(Exception, match="closed"):
        await Lab("ratelimiter", store=store).start()


async def test_a_lab_nobody_stopped_ends_with_its_python_process(own_home: Path):
    forgetful = "import asyncio, operatorlab\nprint(asyncio.run(operatorlab.Lab(load='none').start()).run_id)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", forgetful, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    run = out.decode().strip()
    with AuditStore() as store:
        assert [row["ended_how"] for row in store.db.query("select ended_how from runs where id = ?", [run])] != [None]


async def test_a_client_load_that_dies_is_told_at_once():
    async with Lab("ratelimiter") as lab:
        clients = [p for p in psutil.process_iter() if _is_load_of(p, lab.run_id)]
        assert len(clients) == 1
        clients[0].kill()
        with pytest.raises(StartFailed, match="client load ended"):
            await lab.next_ticket(timeout_s=20)


def _is_load_of(process: psutil.Process, run: str) -> bool:
    try:
        ours = process.environ().get("OPERATORLAB_RUN") == run
        return ours and "subjects.ratelimiter.workload" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
