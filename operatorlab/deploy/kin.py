"""Which processes belong to a lab, and how to end them all.

Whatever a lab starts carries `OPERATORLAB_RUN` and `OPERATORLAB_SYSTEM` in its environment, and so does
whatever an operator starts in it. Both are compared as a whole, never in part. redis-server wipes its
environment to write its title there: a process without any environment that works inside the lab's own
folder is the lab's, too. Inside a boundary it is the namespace that counts, and nothing that an operator can change.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

import psutil

from operatorlab.deploy.confined import Confined
from operatorlab.deploy.limits import no_forks
from operatorlab.errors import TimedOut

RUN = "OPERATORLAB_RUN"
SYSTEM = "OPERATORLAB_SYSTEM"
_CLEAN_LOOKS = 2  # a list of processes is no picture of one moment: what forks all the time can be missed by one
_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)


class Kindred(Protocol):
    """What of a lab's record tells its processes."""

    @property
    def run_id(self) -> str: ...

    @property
    def root(self) -> Path: ...

    @property
    def confined(self) -> Confined | None: ...


def kin(lab: Kindred) -> list[psutil.Process]:
    """The living processes of a lab, without this process and its ancestors."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    inside = set(lab.confined.pids()) if lab.confined else set()
    return [
        p for p in psutil.process_iter() if p.pid not in own and (p.pid in inside or _belongs(p, lab.run_id, lab.root))
    ]


def alive(pid: int | None, started: float | None) -> bool:
    """Whether the process `pid` that started at `started` (seconds since the epoch) still lives."""
    if pid is None or started is None:
        return False
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1.0 and is_alive(process)
    except psutil.Error:
        return False


def is_alive(process: psutil.Process) -> bool:
    """Whether it lives; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except _GONE:
        return False


async def end_kin(lab: Kindred, *, spare: Collection[int] = ()) -> None:
    """Kill (SIGKILL) every process of the lab but the pids in `spare`. TimedOut if one does not end.

    Looks again until none is left, for a process may fork while it is looked for. All are held before the first is
    killed, or what forks for ever would outrun this.
    """
    with no_forks(lab.confined.groups if lab.confined else ()):
        looks = 0
        while looks < _CLEAN_LOOKS:
            looks = 0 if await _end_those_there(lab, spare) else looks + 1


async def _end_those_there(lab: Kindred, spare: Collection[int]) -> bool:
    """Whether there was any."""
    held: dict[int, psutil.Process] = {}
    while True:
        found = {p.pid: p for p in await asyncio.to_thread(kin, lab) if p.pid not in spare}
        fresh = {pid: process for pid, process in found.items() if held.get(pid) != process}
        for process in fresh.values():
            with contextlib.suppress(psutil.Error):
                process.suspend()
        held |= fresh
        if not fresh:
            await end(list(found.values()))
            return bool(held)


async def end(processes: Collection[psutil.Process], deadline_s: float = 10.0) -> None:
    """Kill (SIGKILL) processes and wait until they are gone."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    until = time.monotonic() + deadline_s
    while left := [process for process in processes if is_alive(process)]:
        if time.monotonic() > until:
            raise TimedOut(f"killed processes are still there after {deadline_s} s: {[p.pid for p in left]}")
        await asyncio.sleep(0.005)


def _belongs(process: psutil.Process, run_id: str, root: Path) -> bool:
    try:
        environment = process.environ()
        if environment:
            return environment.get(RUN) == run_id and environment.get(SYSTEM) == str(root)
        cwd = Path(process.cwd())
    except (psutil.Error, OSError):  # another user's, or gone
        return False
    return cwd == root or root in cwd.parents
