"""Runs trials on this machine: a warm worker process a job, each the leader of a process group of its own.

A worker keeps its lab between trials. One that does not answer in time, or dies, is killed with its whole group, what
its lab left is removed, and the trial is stored as what it is: killed, with the evidence its audit holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.evidence import Evidence, Moment, Trial
from eval.salvage import salvage
from operatorlab.clock import SystemClock
from operatorlab.deploy import labs

_END_WITHIN_S = 10.0
_LONGEST_LINE = 1 << 26


@dataclass(frozen=True, slots=True)
class Progress:
    """A trial has come to a phase; with evidence, it is done."""

    worker: int
    trial: Trial
    phase: str


OnProgress = Callable[[Progress], None]


class WorkerGone(Exception):
    """The worker ended, or did not answer in time."""


@dataclass
class Local:
    """Runs trials side by side, `jobs` at a time. `audits` and `logs` are folders that exist.

    A worker that does not answer is killed `grace_s` seconds after its trial's own deadline.
    """

    jobs: int
    audits: Path
    logs: Path
    on_progress: OnProgress = field(default=lambda _: None)
    grace_s: float = 20.0
    name = "local"

    async def run(self, trials: Sequence[Trial]) -> AsyncGenerator[Evidence]:
        """The evidence of each trial as it comes in. Left early, it ends every worker and lab."""
        waiting, done = deque(trials), asyncio.Queue[Evidence]()
        workers = [
            asyncio.create_task(self._work(number, waiting, done)) for number in range(min(self.jobs, len(trials)))
        ]
        try:
            for _ in range(len(trials)):
                yield await _next(done, workers)
        finally:
            for worker in workers:
                worker.cancel()
            if workers:
                await asyncio.wait(workers)
            await labs.cleanup()

    async def _work(self, number: int, waiting: deque[Trial], done: asyncio.Queue[Evidence]) -> None:
        worker = Worker(number, self.logs / f"{number}.log")
        try:
            while waiting:
                trial = waiting.popleft()
                done.put_nowait(await self._one(worker, trial))
        finally:
            await _to_its_end(worker.end())

    async def _one(self, worker: Worker, trial: Trial) -> Evidence:
        audit = self.audits / f"{trial.id}.db"
        _remove(audit)  # of an attempt that was cut off
        began = Moment.of(SystemClock().now())
        try:
            async with asyncio.timeout(trial.timing.deadline_s + self.grace_s):
                return await worker.run(trial, audit, self.on_progress)
        except (WorkerGone, TimeoutError) as trouble:
            await worker.kill()
            await labs.cleanup()
            return salvage(trial, audit, began, f"its process did not answer: {str(trouble) or 'too late'}")


@dataclass
class Worker:
    """One worker process; started when it is first needed, and again after it was killed."""

    number: int
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def run(self, trial: Trial, audit: Path, on_progress: OnProgress) -> Evidence:
        """Run one trial. WorkerGone if the worker ends."""
        process = self.process = self.process or await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        asked = json.dumps({"trial": trial.model_dump(mode="json"), "audit": str(audit)})
        try:
            process.stdin.write(asked.encode() + b"\n")
            await process.stdin.drain()
            while line := await process.stdout.readline():
                said: dict[str, Any] = json.loads(line)
                if "evidence" in said:
                    return Evidence.model_validate(said["evidence"])
                on_progress(Progress(self.number, trial, said["phase"]))
        except (OSError, ValueError) as trouble:
            raise WorkerGone(str(trouble)) from trouble
        raise WorkerGone(f"it ended with code {await process.wait()}; see {self.log}")

    async def _start(self) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "eval.worker",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                start_new_session=True, limit=_LONGEST_LINE,
            )  # fmt: skip

    async def end(self) -> None:
        """Let it take its lab down; make it, if it does not."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_WITHIN_S):
                await process.wait()
        await self.kill()

    async def kill(self) -> None:
        """End it and its group at once."""
        process, self.process = self.process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """See `work`, which has a deadline of its own, through, also when cancelled meanwhile: nothing may be left."""
    ending = asyncio.create_task(work)
    while not ending.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(ending)
    ending.result()


async def _next(done: asyncio.Queue[Evidence], workers: Sequence[asyncio.Task[None]]) -> Evidence:
    """The next evidence; what a worker's task failed with is raised."""
    getting = asyncio.create_task(done.get())
    try:
        running: set[asyncio.Task[Any]] = {getting, *(worker for worker in workers if not worker.done())}
        while not getting.done():
            finished, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for worker in finished - {getting}:
                worker.result()
    finally:
        getting.cancel()
    return getting.result()


def _remove(audit: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        audit.with_name(audit.name + suffix).unlink(missing_ok=True)
