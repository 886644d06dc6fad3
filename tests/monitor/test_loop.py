"""The monitor on the lamps: what it sees, what it does when it cannot see, and how it starts and ends."""

import asyncio
import contextlib
from dataclasses import replace

import pytest
from lamps import DIM, NAMES, OFF, RUN

from operatorlab.clock import SystemClock
from operatorlab.errors import BadParameter
from operatorlab.monitor.board import Board
from operatorlab.monitor.loop import Monitor, MonitorStopped, next_due
from operatorlab.monitor.tickets import Policy, TicketState
from operatorlab.monitor.watchers import identify, watchers
from operatorlab.subject import Invariant, NodeState, Undecided, Violation

S = TicketState


@pytest.fixture
async def watch(store, lamps, files):
    """Make a monitor of the lamps, closed at the end."""
    monitors = []

    def make(hold_s=0.0, **options):
        options = {"interval_s": 0.02, "deadline_s": 0.1} | options
        board = Board(store, RUN, Policy(hold_s=hold_s))
        monitors.append(Monitor(lamps, files, store, board=board, **options))
        return monitors[-1]

    yield make
    (files.root / "stubborn").unlink(missing_ok=True)  # a look that never ends would keep the loop from closing
    for monitor in monitors:
        await monitor.close()


@contextlib.asynccontextmanager
async def running(monitor):
    task = asyncio.create_task(monitor.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()


def events(store, *kinds):
    return [event.payload for event in store.events(run=RUN, kinds=kinds)]


async def test_a_healthy_subject_has_no_ticket_and_a_cycle_tells_its_cost(watch):
    cycle = await watch().cycle()
    assert cycle.findings == cycle.changed == ()
    assert {node.state for node in cycle.observation.nodes} == {NodeState.UP}
    assert cycle.cost.observe_s > 0
    assert cycle.cost.judge_s > 0
    assert cycle.cost.cpu_s > 0
    assert cycle.cost_s == cycle.cost.observe_s + cycle.cost.judge_s


async def test_trouble_becomes_a_ticket_and_its_end_closes_it(watch, files):
    monitor = watch()
    files.put("lamp-2", "off")
    (ticket,) = (await monitor.cycle()).changed
    assert (ticket.fingerprint, ticket.state) == ("lamp_off/lamp-2", S.OPEN)
    files.put("lamp-2", "on")
    (ticket,) = (await monitor.cycle()).changed
    assert ticket.state is S.SELF_HEALED


async def test_a_member_that_vanished_is_down(watch, files):
    (files.root / "lamp-1").unlink()
    (ticket,) = (await watch().cycle()).changed
    assert ticket.component == "lamp-1"


async def test_what_runs_the_members_being_away_is_blindness_and_closes_nothing(watch, files):
    monitor = watch()
    files.put("lamp-2", "off")
    await monitor.cycle()
    files.put("away", "the daemon does not answer")
    cycle = await monitor.cycle()
    assert {node.state for node in cycle.observation.nodes} == {NodeState.UNKNOWN}
    assert cycle.observation.blind[0].why == "the daemon does not answer"
    assert {t.fingerprint for t in monitor.board.live()} == {"lamp_off/lamp-2", "observer_blind/observer"}


async def test_a_rule_waits_out_its_grace_unless_told_otherwise(watch, files):
    files.put("lamp-1", "dim")
    assert (await watch().cycle()).changed == ()
    assert len((await watch(grace_s=0).cycle()).changed) == 1


async def test_a_rule_sees_its_own_window_and_no_more(watch, lamps):
    seen = []

    def look(history, rule):
        ages = [history[-1].monotonic - o.monotonic for o in history]
        assert ages == sorted(ages, reverse=True)
        assert max(ages) <= rule.window_s
        seen.append((rule.name, len(history)))
        return ()

    lamps.invariants = (Invariant("now", "", look), Invariant("lately", "", look, window_s=60))
    monitor = watch()
    for _ in range(3):
        await monitor.cycle()
    assert seen == [("now", 1), ("lately", 1), ("now", 1), ("lately", 2), ("now", 1), ("lately", 3)]


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ("hang", "no answer within 0.1 s"),
        ("raise", "RuntimeError: the observer has a bug"),
        ("stale", "an old reading"),
        ("forget", "said nothing about lamp-3"),
        ("unopenable", "did not open: RuntimeError: no way in"),
    ],
)
async def test_a_look_that_fails_is_blind_and_closes_nothing(watch, files, trouble, why):
    monitor = watch()
    files.put("lamp-2", "off")
    if trouble != "unopenable":
        await monitor.cycle()
    files.put("lamp-2", "on")
    files.put(trouble, "")
    for _ in range(2):
        cycle = await monitor.cycle()
        assert {node.state for node in cycle.observation.nodes} == {NodeState.UNKNOWN}
        assert [blind.component for blind in cycle.observation.blind] == list(NAMES)
        assert not monitor.subject.healthy(cycle.observation)
        assert why in cycle.observation.blind[0].why
        undecided = {f.invariant for f in cycle.findings if isinstance(f, Undecided)}
        assert undecided == {"lamp_off", "lamp_dim", "observer_blind"}
    live = {ticket.fingerprint for ticket in monitor.board.live()}
    assert live - {"lamp_off/lamp-2"} == {"observer_blind/observer"}
    assert trouble == "unopenable" or len(live) == 2
    (files.root / trouble).unlink()
    await monitor.cycle()
    assert monitor.board.live() == []


async def test_a_hanging_observer_delays_a_cycle_by_no_more_than_the_deadline(watch, files):
    monitor = watch()
    await monitor.cycle()
    files.put("hang", "")
    cost = (await monitor.cycle()).cost
    assert 0.1 <= cost.observe_s < 1


async def test_looks_never_overlap_even_when_the_observer_ignores_its_cancellation(watch, files, lamps):
    monitor = watch()
    await monitor.cycle()
    files.put("stubborn", "")
    assert "no answer" in (await monitor.cycle()).observation.blind[0].why
    looks = lamps.observer_.looks
    assert "still hangs" in (await monitor.cycle()).observation.blind[0].why
    assert lamps.observer_.looks == looks
    (files.root / "stubborn").unlink()
    for _ in range(100):
        if not (await monitor.cycle()).observation.blind:
            return
        await asyncio.sleep(0.02)
    pytest.fail("it never saw again")


async def forsaken_look():
    """Wait until the look that was left behind has ended: before the event loop does."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert others, "none was left behind"
    await asyncio.wait(others, timeout=5.0)


async def test_an_observer_that_will_not_end_does_not_keep_the_monitor(watch, files):
    monitor = watch()
    async with running(monitor) as task:
        await monitor.next_cycle()
        files.put("stubborn", "")
        await monitor.next_cycle()
        began = asyncio.get_running_loop().time()
        task.cancel()
        await asyncio.wait({task})
        assert asyncio.get_running_loop().time() - began < 1
    (files.root / "stubborn").unlink()
    await forsaken_look()


async def test_part_blindness_closes_nothing_of_that_part(watch, files):
    monitor = watch()
    files.put("lamp-1", "off")
    await monitor.cycle()
    (files.root / "lamp-1").unlink()
    (files.root / "lamp-1").mkdir()
    for _ in range(3):
        await monitor.cycle()
    assert {t.fingerprint for t in monitor.board.live()} == {"lamp_off/lamp-1", "observer_blind/lamp-1"}


async def test_blindness_to_a_component_closes_nothing_even_if_the_rule_does_not_mind(watch, files, lamps):
    def careless(history, rule):
        if history[-1].node("lamp-1").state is NodeState.DOWN:
            yield Violation(rule.name, "lamp-1", "off")

    lamps.invariants = (Invariant("careless", "", careless),)
    monitor = watch()
    files.put("lamp-1", "off")
    await monitor.cycle()
    (files.root / "lamp-1").unlink()
    (files.root / "lamp-1").mkdir()
    await monitor.cycle()
    assert [t.fingerprint for t in monitor.board.live()] == ["careless/lamp-1"]


async def test_a_check_that_raises_decides_nothing_and_is_recorded(watch, files, lamps, store):
    broken = False

    def moody(history, rule):
        if broken:
            raise ZeroDivisionError("division by zero")
        return ()

    lamps.invariants = (OFF, Invariant("moody", "", moody))
    monitor = watch()
    monitor.board.judge([Violation("moody", "lamp-1", "it was")], [], SystemClock().now())
    broken = True
    files.put("lamp-2", "off")
    for _ in range(3):
        cycle = await monitor.cycle()
        assert cycle.failed == (("moody", "its check raised ZeroDivisionError: division by zero"),)
    assert {t.fingerprint for t in monitor.board.live()} == {"moody/lamp-1", "lamp_off/lamp-2"}
    assert monitor.metrics.get_sample_value("operatorlab_monitor_checks_failed_total", {"invariant": "moody"}) == 3
    broken = False
    files.put("lamp-2", "on")
    await monitor.cycle()
    assert monitor.board.live() == []
    assert [p["invariant"] for p in events(store, "observed.check_failed")] == ["moody"]
    assert [p["invariant"] for p in events(store, "observed.check_recovered")] == ["moody"]


@pytest.mark.parametrize("answer", ["a string", [None], [Violation("another_rule", "lamp-1", "?")], None])
async def test_a_check_that_answers_nonsense_decides_nothing(watch, lamps, answer):
    lamps.invariants = (Invariant("odd", "", lambda history, rule: answer),)
    cycle = await watch().cycle()
    assert [name for name, _ in cycle.failed] == ["odd"]
    assert cycle.changed == ()


async def test_only_changes_of_what_is_seen_are_recorded(watch, files, store):
    monitor = watch()
    for _ in range(3):
        await monitor.cycle()
    assert [(p["from"], p["to"]) for p in events(store, "observed.node")] == [(None, "up")] * 3
    files.put("lamp-2", "off")
    for _ in range(2):
        await monitor.cycle()
    assert events(store, "observed.node")[3:] == [
        {"node": "lamp-2", "role": "lamp", "from": "up", "to": "down", "reason": "it says off"}
    ]
    files.put("hang", "")
    for _ in range(2):
        await monitor.cycle()
    (files.root / "hang").unlink()
    await monitor.cycle()
    assert [p["component"] for p in events(store, "observed.blind")] == list(NAMES)
    assert sorted(p["component"] for p in events(store, "observed.sight")) == list(NAMES)


async def test_it_cycles_until_cancelled_and_says_when_it_began_and_ended(watch, store, lamps):
    monitor = watch()
    async with running(monitor) as task:
        first = await monitor.next_cycle()
        second = await monitor.next_cycle()
        assert second.number == first.number + 1
        assert monitor.latest is second
        (watcher,) = watchers(store, RUN)
        assert watcher.interval_s == 0.02
    assert task.cancelled()
    assert lamps.observer_.closed
    assert watchers(store, RUN) == []
    (stopped,) = events(store, "monitor.stopped")
    assert (stopped["how"], stopped["trouble"]) == ("stopped", "")


async def test_another_process_that_got_the_id_of_a_dead_monitor_is_not_taken_for_it(store):
    long_gone = identify(0.5) | {"process_started": 1.0}
    store.append("monitor.started", long_gone, run=RUN)
    assert watchers(store, RUN) == []
    store.append("monitor.started", identify(0.5), run=RUN)
    assert len(watchers(store, RUN)) == 1


async def test_waiting_for_a_cycle_of_a_monitor_that_ended_is_an_error(watch):
    monitor = watch(interval_s=60)
    async with running(monitor):
        await monitor.next_cycle()
        waiting = asyncio.create_task(monitor.next_cycle())
        await asyncio.sleep(0)
    with pytest.raises(MonitorStopped):
        await waiting
    with pytest.raises(MonitorStopped):
        await monitor.next_cycle()


async def test_the_end_is_recorded_even_if_it_is_cancelled_twice(watch, store, files):
    monitor = watch()
    async with running(monitor) as task:
        await monitor.next_cycle()
        files.put("stubborn", "")
        waiting = asyncio.create_task(monitor.next_cycle())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(MonitorStopped):
            await waiting
        task.cancel()
    (files.root / "stubborn").unlink()
    assert [p["how"] for p in events(store, "monitor.stopped")] == ["stopped"]
    await forsaken_look()


async def test_what_cannot_be_recorded_ends_the_monitor(watch, files, store):
    monitor = watch()
    async with running(monitor) as task:
        await monitor.next_cycle()
        store.db.execute(
            "create temp trigger full before insert on main.events "
            "when new.kind like 'ticket.%' begin select raise(abort, 'no more'); end"
        )
        files.put("lamp-1", "off")
        await asyncio.wait({task})
        with pytest.raises(Exception, match="no more"):
            task.result()
    assert "no more" in events(store, "monitor.stopped")[0]["how"]


async def test_cycles_asked_for_at_once_come_one_after_the_other(watch):
    monitor = watch()
    cycles = await asyncio.gather(*(monitor.cycle() for _ in range(3)))
    assert [cycle.number for cycle in cycles] == [1, 2, 3]
    stamps = [cycle.observation.monotonic for cycle in cycles]
    assert stamps == sorted(stamps)


def test_the_schedule_neither_drifts_nor_catches_up():
    assert next_due(10.0, 0.5, 10.1) == 10.5
    assert next_due(10.0, 0.5, 10.0) == 10.5
    assert next_due(10.0, 0.5, 10.5) == 10.5
    assert next_due(10.0, 0.5, 12.3) == 12.5


@pytest.mark.parametrize("bad", [{"interval_s": 0}, {"interval_s": float("inf")}, {"grace_s": -1}, {"deadline_s": 0}])
async def test_parameters_that_make_no_sense_are_refused(watch, bad):
    with pytest.raises(BadParameter):
        watch(**bad)


async def test_metrics_tell_cycles_nodes_tickets_and_blindness(watch, files):
    monitor = watch()
    files.put("lamp-1", "off")
    await monitor.cycle()
    files.put("raise", "")
    await monitor.cycle()

    def value(name, **labels):
        return monitor.metrics.get_sample_value(f"operatorlab_monitor_{name}", labels)

    assert value("cycles_total") == 2
    assert value("looks_failed_total") == 1
    assert value("observing_seconds_count") == value("judging_seconds_count") == 2
    assert value("nodes", state="unknown") == 3
    assert value("tickets", state="open") == 2
    assert value("tickets", state="resolved") == 0
    assert value("blind") == 3


async def test_a_rule_with_a_window_gives_a_repair_the_time_to_leave_it(watch, files, lamps):
    lamps.invariants = (replace(DIM, grace_s=0, window_s=0.3),)
    monitor = watch()
    files.put("lamp-1", "dim")
    (ticket,) = (await monitor.cycle()).changed
    monitor.board.lease(ticket.incident, "s1")
    monitor.board.claim(ticket.incident, "s1")
    await monitor.cycle()
    assert monitor.board.ticket(ticket.id).state is S.VERIFYING
    files.put("lamp-1", "on")
    await monitor.cycle()
    assert monitor.board.ticket(ticket.id).state is S.RESOLVED
