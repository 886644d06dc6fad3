"""A lab's processes are found exactly: no more, no fewer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from operatorlab.deploy.kin import alive, end_kin, is_alive, kin
from operatorlab.deploy.programs import find_program

Start = Callable[..., subprocess.Popen[bytes]]
_SLEEP = (sys.executable, "-c", "print(flush=True); import time; time.sleep(600)")


@dataclass(frozen=True)
class Lab:
    """What tells a lab's processes; without a boundary."""

    run_id: str
    root: Path
    confined: None = None


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes, waits for their first line, or the one that holds `until`, and ends them after the test."""
    started = []

    def run(*argv: str, cwd: Path | None = None, until: bytes = b"", **env: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(argv or _SLEEP, env={**os.environ, **env}, stdout=subprocess.PIPE, cwd=cwd)
        started.append(child)
        assert child.stdout
        while until not in child.stdout.readline():
            assert child.poll() is None
        return child

    yield run
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


def marked(run: str, root: Path) -> dict[str, str]:
    return {"OPERATORLAB_RUN": run, "OPERATORLAB_SYSTEM": str(root)}


def test_only_the_exact_run_and_folder_count(start: Start, tmp_path: Path):
    ours = start(**marked("lab-1", tmp_path))
    start(**marked("lab-11", tmp_path))
    start(**marked("lab-1", tmp_path / "other"))
    start(OPERATORLAB_RUNS="lab-1", OPERATORLAB_SYSTEM=str(tmp_path))
    start(cwd=tmp_path)  # somebody's shell in the lab's folder is not the lab's
    assert [process.pid for process in kin(Lab("lab-1", tmp_path))] == [ours.pid]


def test_redis_is_known_though_it_wipes_its_environment(start: Start, tmp_path: Path):
    redis = (str(find_program("redis-server")), "--port", "0", "--unixsocket", "redis.sock")
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").mkdir()
    ours = start(*redis, cwd=tmp_path / "a", until=b"to accept", **marked("lab-1", tmp_path / "a"))
    other = start(*redis, cwd=tmp_path / "ab", until=b"to accept", **marked("lab-2", tmp_path / "ab"))
    assert psutil.Process(ours.pid).environ() == {}, "the reason for this test is gone"
    assert [process.pid for process in kin(Lab("lab-1", tmp_path / "a"))] == [ours.pid]
    assert is_alive(psutil.Process(other.pid))


async def test_all_are_ended_frozen_ones_and_children_too_but_the_spared(start: Start, tmp_path: Path):
    parent = "import subprocess, time; subprocess.Popen(['sleep', '600']); print(flush=True); time.sleep(600)"
    family = start(sys.executable, "-c", parent, **marked("lab-1", tmp_path))
    frozen = start(**marked("lab-1", tmp_path))
    psutil.Process(frozen.pid).suspend()
    spared = start(**marked("lab-1", tmp_path))
    other = start(**marked("lab-2", tmp_path))
    assert len(kin(Lab("lab-1", tmp_path))) == 4
    await end_kin(Lab("lab-1", tmp_path), spare={spared.pid})
    assert [process.pid for process in kin(Lab("lab-1", tmp_path))] == [spared.pid]
    assert not is_alive(psutil.Process(family.pid))
    assert is_alive(psutil.Process(other.pid))


def test_a_process_is_known_by_pid_and_start_time(start: Start):
    child = start()
    began = psutil.Process(child.pid).create_time()
    assert alive(child.pid, began)
    assert not alive(child.pid, began - 60), "another process had the pid then"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it ended, and is a zombie until it is waited for
    assert not alive(child.pid, began)
    assert not alive(None, None)
