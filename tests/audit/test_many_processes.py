"""Many processes at once, and processes that are killed: nothing acknowledged is lost, the chain holds."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from operatorlab.audit import AuditStore

_WRITER = Path(__file__).with_name("writer.py")
_Said = list[tuple[str, str]]


class Nursery:
    """A process of `writer.py` whose children write."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, path: Path, name: str, *, rounds: int = 0, children: int = 1) -> None:
        """Ask for children that write `rounds` rounds each; 0 until they are killed."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path} {name} {rounds} {children}\n")
        self._process.stdin.flush()

    def born(self) -> int:
        """The pid of a child that was asked for, once it is there."""
        word, pid = self._hear()
        assert word == "born"
        return int(pid)

    def acknowledged(self, until: Callable[[int], bool] = lambda _: False) -> _Said:
        """What the children say, until there are enough lines of it or all are dead."""
        said: _Said = []
        while not until(len(said)):
            word, value = self._hear()
            if word == "dead":
                break
            if word != "born":
                said.append((word, value))
        return said

    def _hear(self) -> tuple[str, str]:
        assert self._process.stdout is not None
        word, value = self._process.stdout.readline().split()
        return word, value


@contextmanager
def nursery() -> Iterator[Nursery]:
    command = [sys.executable, str(_WRITER)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield Nursery(process)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # its children too
            raise
        process.communicate()
    assert process.returncode == 0


def _is_all_there(path: Path, said: _Said) -> None:
    with AuditStore(path, environment={}) as store:
        report = store.verify()
        assert report.ok, report.why
        ended = {row["id"]: row["ended_at"] is not None for row in store.rows("select id, ended_at from commands")}
        known = {"session": {row["id"] for row in store.rows("select id from sessions")}, "begun": set(ended)}
        known |= {"ended": {id_ for id_, yes in ended.items() if yes}}
        known |= {"event": {event.id for event in store.events()}}
        assert [line for line in said if line[1] not in known[line[0]]] == []
        pairs = Counter((event.session, event.kind) for event in store.events(kinds=["left", "right"]))
        assert all(pairs[session, "left"] == pairs[session, "right"] for session, _ in pairs)
        half = store.rows(
            "select * from commands where (ended_at is null) is not (exit_code is null and stdout is null)"
        )
        assert half == []


def test_eight_processes_that_start_on_a_new_file_lose_nothing(path: Path) -> None:
    rounds = 25
    with nursery() as eight:
        eight.ask(path, "run", rounds=rounds, children=8)
        said = eight.acknowledged()
    assert len(said) == 8 * (1 + 4 * rounds)
    _is_all_there(path, said)
    with AuditStore(path, environment={}) as store:
        assert store.counts()["events"] == 8 * (2 + 4 * rounds)
        assert store.counts()["commands"] == 8 * rounds
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def _kill_often(path: Path, kills: int, seed: int) -> None:
    moments = random.Random(seed)
    said: _Said = []
    with nursery() as mortal, nursery() as other:
        for number in range(kills):
            other.ask(path, f"bystander-{number}", rounds=3)
            mortal.ask(path, f"mortal-{number}")
            child = mortal.born()
            wanted = moments.randrange(40)
            said += mortal.acknowledged(lambda heard, wanted=wanted: heard >= wanted)
            time.sleep(moments.uniform(0, 0.004))  # anywhere between two acknowledgements, not just after one
            os.kill(child, signal.SIGKILL)
            said += mortal.acknowledged()
            said += other.acknowledged()
            _is_all_there(path, said)
    with AuditStore(path, environment={}) as store:
        unfinished = store.rows("select session from commands where ended_at is null")
        assert len(unfinished) == len({row["session"] for row in unfinished})  # at most the last one of each
        dead = store.close_dead_sessions(lambda pid: pid == os.getpid())
        assert len(dead) == len(store.rows("select id from sessions"))
        assert store.verify().ok


def test_a_killed_writer_loses_nothing_it_acknowledged(path: Path) -> None:
    _kill_often(path, kills=24, seed=20261123)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_killed_writers_lose_nothing_they_acknowledged(path: Path, seed: int) -> None:
    _kill_often(path, kills=60, seed=seed)
