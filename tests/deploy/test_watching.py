"""Noticing what happens to real processes: that they end, stop, go on and start."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from operatorlab.deploy.watching import Watch

IDLE = [sys.executable, "-c", "import signal; signal.pause()"]


class Two:
    """Two members, and who runs them now; what has ended has no pid."""

    def __init__(self):
        self.asked = 0
        self.were_asked = asyncio.Event()
        self.running = {}

    async def pids(self):
        self.asked += 1
        self.were_asked.set()
        return {name: child.pid for name, child in self.running.items() if child.poll() is None}

    def start(self, name):
        self.running[name] = subprocess.Popen(IDLE)

    def signal(self, name, number):
        self.running[name].send_signal(number)


@pytest.fixture
def two():
    two = Two()
    two.start("a")
    two.start("b")
    yield two
    for child in two.running.values():
        child.kill()
        child.wait()


@pytest.fixture
async def changes(two):
    told = Watch(["a", "b"], two.pids).changes()
    yield told
    await told.aclose()


def descriptors():
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


async def begun(two, changes):
    """The first change, to be awaited; by now everybody is watched."""
    told = asyncio.ensure_future(anext(changes))
    await two.were_asked.wait()
    return told


async def test_an_end_is_noticed(two, changes):
    told = await begun(two, changes)
    two.signal("a", signal.SIGKILL)
    change = await told
    assert (change.member, change.what) == ("a", "its process ended")


async def test_a_stop_and_going_on_are_noticed(two, changes):
    told = await begun(two, changes)
    two.signal("b", signal.SIGSTOP)
    assert (await told).what == "its process was stopped"
    two.signal("b", signal.SIGCONT)
    assert (await anext(changes)).what == "its process goes on"


async def test_a_process_that_takes_its_place_is_noticed_and_followed(two, changes):
    told = await begun(two, changes)
    two.signal("a", signal.SIGKILL)
    await told
    two.running["a"].wait()
    two.start("a")
    assert (await anext(changes)).what == "a process of it runs"
    two.signal("a", signal.SIGKILL)
    assert (await anext(changes)).what == "its process ended"


async def test_nobody_is_asked_while_all_run(two, changes):
    told = await begun(two, changes)
    two.signal("b", signal.SIGSTOP)
    await told
    assert two.asked == 1


async def test_no_descriptor_is_left_open(two):
    before = descriptors()
    watch = Watch(["a", "b"], two.pids).changes()
    told = await begun(two, watch)
    two.signal("a", signal.SIGKILL)
    await told
    await watch.aclose()
    assert descriptors() == before


async def test_what_cannot_be_asked_is_raised():
    async def away():
        raise ConnectionError("no supervisor")

    with pytest.raises(ConnectionError):
        await anext(Watch(["a"], away).changes())
