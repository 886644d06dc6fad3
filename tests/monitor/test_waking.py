"""When the monitor looks: at its interval, and sooner when something is announced or has just gone wrong."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest
from lamps import NAMES, RUN, Files, Lamps

from operatorlab.monitor.board import Board
from operatorlab.monitor.loop import Monitor
from operatorlab.monitor.tickets import Policy
from operatorlab.monitor.waking import BRISK_S, Pace, Waking, unwell
from operatorlab.subject import Announces, Blind, Change, Node, NodeState, Observation, Undecided, Violation

NEVER_S = 3600.0
WELL = frozenset()
DOWN = frozenset({("lamp-1", "down")})


class Announcer:
    """Announces what it is told to; raises in place of `None`."""

    def __init__(self):
        self.news = asyncio.Queue()
        self.asked = 0

    async def changes(self):
        self.asked += 1
        while (change := await self.news.get()) is not None:
            yield change
        raise ConnectionError("whoever told is away")

    def tell(self, member="lamp-1"):
        self.news.put_nowait(Change(member, "something happened"))


class TellingFiles(Files):
    """Lamps whose deployment announces changes."""

    def __init__(self, root, announcer):
        super().__init__(root)
        object.__setattr__(self, "announcer", announcer)

    def changes(self):
        return self.announcer.changes()


@pytest.fixture
def announcer():
    return Announcer()


@pytest.fixture
async def waking():
    waking = Waking(again_s=0.0)
    yield waking
    await waking.close()


@contextlib.asynccontextmanager
async def watching(store, subject, files):
    """A monitor that would look once an hour, after its first look."""
    monitor = Monitor(subject, files, store, board=Board(store, RUN, Policy(hold_s=0)), interval_s=NEVER_S)
    task = asyncio.create_task(monitor.run())
    try:
        await monitor.next_cycle()
        yield monitor
    finally:
        task.cancel()
        await asyncio.wait({task})


# ── the pace ───────────────────────────────────────────────────────────────────────────────────


def test_all_well_is_looked_at_at_the_interval():
    pace = Pace(0.5)
    assert [pace.next_s(WELL, at) for at in (0.0, 0.5, 1.0)] == [0.5, 0.5, 0.5]


def test_new_trouble_is_looked_at_briskly_and_lasting_trouble_no_more_often_than_health():
    pace = Pace(0.5)
    assert [pace.next_s(DOWN, at) for at in (100.0, 100.1, 109.9, 110.0)] == [BRISK_S, BRISK_S, BRISK_S, 0.5]
    more = DOWN | {("broken", "lamp_off/lamp-1")}
    assert pace.next_s(more, 111.0) == BRISK_S
    assert pace.next_s(WELL, 111.1) == 0.5


def test_an_interval_that_is_shorter_stays():
    assert Pace(0.02).next_s(DOWN, 0.0) == 0.02


@pytest.mark.parametrize(
    ("state", "blind", "findings", "well"),
    [
        (NodeState.UP, (), (), True),
        (NodeState.UP, (), (Undecided("lamp_dim", "lamp-1", "too few looks"),), True),
        (NodeState.DEGRADED, (), (), False),
        (NodeState.UNKNOWN, (), (), False),
        (NodeState.UP, (Blind("light", "lamp-1", "fog"),), (), False),
        (NodeState.UP, (), (Violation("lamp_dim", "lamp-1", "dim"),), False),
    ],
)
def test_what_counts_as_unwell(state, blind, findings, well):
    seen = Observation(datetime.now(UTC), 1.0, 0.0, (Node("lamp-1", "lamp", state),), blind=blind)
    assert (unwell(seen, findings, ()) == frozenset()) is well


# ── being woken ────────────────────────────────────────────────────────────────────────────────


async def test_a_change_ends_the_wait_and_counts_even_if_it_came_before(waking, announcer):
    waking.follow(announcer)
    assert not await waking.wait(0.0)
    announcer.tell()
    await asyncio.sleep(0)
    assert await waking.wait(NEVER_S)
    assert not await waking.wait(0.0)


async def test_an_announcer_that_fails_is_asked_again(waking, announcer):
    waking.follow(announcer)
    announcer.news.put_nowait(None)
    announcer.tell()
    assert await waking.wait(NEVER_S)
    assert announcer.asked == 2


async def test_one_announcer_is_followed_once_and_what_announces_nothing_not_at_all(waking, announcer, files):
    for _ in range(2):
        waking.follow(announcer)
        waking.follow(files)
        waking.follow(None)
    announcer.tell()
    assert await waking.wait(NEVER_S)
    assert announcer.asked == 1
    assert not isinstance(files, Announces)


# ── the monitor ────────────────────────────────────────────────────────────────────────────────


async def test_a_deployment_that_announces_a_change_is_looked_at_at_once(store, lamps, files, announcer):
    async with watching(store, lamps, TellingFiles(files.root, announcer)) as monitor:
        files.put("lamp-2", "off")
        announcer.tell("lamp-2")
        (ticket,) = (await monitor.next_cycle()).changed
    assert ticket.fingerprint == "lamp_off/lamp-2"


async def test_an_announced_change_alone_is_no_trouble(store, lamps, files, announcer):
    async with watching(store, lamps, TellingFiles(files.root, announcer)) as monitor:
        announcer.tell("lamp-2")
        cycle = await monitor.next_cycle()
        assert (cycle.findings, cycle.changed) == ((), ())


async def test_an_observer_may_announce_too(store, files, announcer):
    class Telling(Lamps):
        @contextlib.asynccontextmanager
        async def observer(self, deployment):
            async with super().observer(deployment) as observer:
                observer.changes = announcer.changes
                yield observer

    async with watching(store, Telling(), files) as monitor:
        files.put("lamp-3", "off")
        announcer.tell()
        (ticket,) = (await monitor.next_cycle()).changed
    assert ticket.component == "lamp-3"
    assert announcer.asked == 1


async def test_trouble_within_its_grace_is_not_left_until_the_next_interval(store, lamps, files):
    for name in NAMES:
        files.put(name, "dim")
    monitor = Monitor(lamps, files, store, board=Board(store, RUN), interval_s=NEVER_S)
    task = asyncio.create_task(monitor.run())
    while not (changed := (await monitor.next_cycle()).changed):
        pass
    task.cancel()
    await asyncio.wait({task})
    assert {ticket.invariant for ticket in changed} == {"lamp_dim"}


async def test_nobody_is_followed_after_the_end(store, lamps, files, announcer):
    async with watching(store, lamps, TellingFiles(files.root, announcer)):
        announcer.tell()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("changes of")]
