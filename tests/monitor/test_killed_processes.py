"""Monitors and operators in processes of their own, killed at random moments: nothing is lost, doubled or stuck."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import lamps as program
import psutil
import pytest
from lamps import BRISK, NAMES, RUN

from operatorlab.monitor.board import Board
from operatorlab.monitor.watchers import watchers

IN_TIME_S = 30


class Nursery:
    """Forks monitors and operators on demand; kills them on demand."""

    def __init__(self, audit: Path, root: Path) -> None:
        argv = [sys.executable, program.__file__, str(audit), str(root)]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.alive: dict[str, psutil.Process] = {}

    def start(self, what: str) -> None:
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        self.alive[what] = psutil.Process(int(self.process.stdout.readline()))

    def kill(self, what: str) -> None:
        child = self.alive.pop(what)
        assert child.is_running(), f"{what} ended by itself"
        child.send_signal(signal.SIGKILL)
        psutil.wait_procs([child], timeout=5)

    def close(self) -> None:
        for what in list(self.alive):
            self.kill(what)
        self.process.communicate(timeout=10)


@pytest.fixture
def nursery(store, files):
    nursery = Nursery(store.path, files.root)
    yield nursery
    nursery.close()


def wait_until(condition, what):
    deadline = time.monotonic() + IN_TIME_S
    while not condition():
        assert time.monotonic() < deadline, f"not in {IN_TIME_S} s: {what}"
        time.sleep(0.01)


def check_record(store, board, pinned):
    """The chain is valid up to and beyond `pinned`, and it tells the same as the tables."""
    with store.atomic():  # the others are still at it
        assert store.verify(pinned).ok
        events, tickets = store.events(run=RUN), board.tickets()
    states = {}
    for event in events:
        if event.kind.startswith("ticket."):
            assert event.payload["from"] == states.get(event.ticket)
            states[event.ticket] = event.payload["to"]
    assert states == {ticket.id: ticket.state.value for ticket in tickets}
    assert max(Counter(ticket.fingerprint for ticket in tickets).values()) == 1


@pytest.mark.parametrize("seed", [1, 2, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, 10))])
def test_killing_monitor_and_operator_at_random_moments(store, files, nursery, seed):
    chance = random.Random(seed)
    board = Board(store, RUN, BRISK)
    for what in ("monitor", "operator 1", "operator 2"):
        nursery.start(what)
    wait_until(lambda: watchers(store, RUN), "the first monitor starts")
    for turn in range(6):
        for _ in range(3):
            files.put(chance.choice(NAMES), chance.choice(["off", "off", "dim"]))
            time.sleep(chance.uniform(0, 0.08))
        victim = "monitor" if turn % 2 == 0 else chance.choice(["operator 1", "operator 2"])
        pinned = store.head()
        nursery.kill(victim)
        check_record(store, board, pinned)
        nursery.start(victim)
    assert board.tickets()
    for operator in ("operator 1", "operator 2"):
        nursery.kill(operator)
    files.put_all("on")
    wait_until(lambda: not board.live(), "every ticket closes after all is repaired")
    check_record(store, board, store.head())
    assert store.rows("select 1 from incidents where closed_at is null") == []


def test_a_lease_of_a_killed_operator_is_taken_over(store, files, nursery):
    board = Board(store, RUN, BRISK)
    nursery.start("monitor")
    files.put("lamp-1", "off")
    wait_until(board.live, "a ticket opens")
    board.lease(board.live()[0].incident, "dead")
    nursery.start("operator 5")
    wait_until(lambda: store.events(kinds=("ticket.lease_expired",)), "the lease runs out")
    wait_until(
        lambda: len({e.session for e in store.events(kinds=("ticket.leased",))}) == 2, "another session takes it"
    )
    files.put_all("on")
    wait_until(lambda: not board.live(), "it closes")


def test_a_ticket_is_never_leased_twice(store, files, nursery):
    """Six operators race for one incident after the other; the monitor watches."""
    board = Board(store, RUN, BRISK)
    operators = [f"operator {n}" for n in range(6)]
    for what in ("monitor", *operators):
        nursery.start(what)
    wait_until(lambda: watchers(store, RUN), "the monitor starts")
    for name in NAMES * 3:
        files.put(name, "off")
        time.sleep(0.05)
    for operator in operators:
        nursery.kill(operator)
    files.put_all("on")
    wait_until(lambda: not board.live(), "every ticket closes")
    check_record(store, board, store.head())
    assert len({event.session for event in store.events(kinds=("ticket.leased",))}) > 1


def test_a_killed_monitor_is_known_to_be_gone(store, nursery):
    nursery.start("monitor")
    wait_until(lambda: watchers(store, RUN), "it says that it started")
    assert [watcher.pid for watcher in watchers(store, RUN)] == [nursery.alive["monitor"].pid]
    nursery.kill("monitor")
    assert watchers(store, RUN) == []
