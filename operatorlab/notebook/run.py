"""Run a notebook headless: checked parameters in, an executed notebook, one HTML report and a verdict out.

    run_notebook ── python -m operatorlab.notebook.execute (own session) ── kernel ── lab

papermill passes no signal on and calls an interrupted run a success, so this launcher holds the strings:
a signal or the time limit interrupts the kernel as ■ in JupyterLab would, which lets the notebook clean up;
after a grace period, or on a second signal, everything that carries the run's id is killed. A run is a
success only if the process exited 0 and the last cell recorded a result that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from importlib import import_module
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from operatorlab import home
from operatorlab.notebook.execute import Job
from operatorlab.notebook.files import heading, load
from operatorlab.notebook.parameters import Parameters, Scalar
from operatorlab.notebook.result import Result, read
from operatorlab.text import visible

GRACE_S = 12.0  # a kernel may take 5 s to shut down, a lab 2 s to end
MARK = "OPERATORLAB_NOTEBOOK_RUN"


class Ending(StrEnum):
    """How a run ended. Only `completed` can be a success."""

    COMPLETED = "completed"  # every cell ran and the last one recorded a result
    NO_RESULT = "no_result"  # every cell ran, but the last one recorded none
    CELL_FAILED = "cell_failed"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    CRASHED = "crashed"  # the process that executes ended by itself, without a failed cell


class NotebookRun(BaseModel):
    """One run of a notebook, as kept in `result.json` beside it."""

    model_config = ConfigDict(frozen=True)

    run: str
    notebook: Path
    report: Path | None
    parameters: dict[str, Scalar]
    ending: Ending
    signal: int | None
    result: Result | None
    error: str
    took_s: float

    @property
    def success(self) -> bool:
        """Whether the notebook ran to its end and its own result says success."""
        return self.ending is Ending.COMPLETED and self.result is not None and self.result.success


async def run_notebook(
    notebook: Path,
    parameters: Parameters,
    *,
    folder: Path | None = None,
    timeout_s: float | None = None,
    grace_s: float = GRACE_S,
    report: bool = True,
    progress: bool = True,
) -> NotebookRun:
    """Execute `notebook` with `parameters` into `folder` (by default `runs/<run id>` of the lab's home).

    Handles SIGINT and SIGTERM while it runs. Raises NotWritable if the folder cannot be made; whatever goes
    wrong inside the notebook is told by the returned run.
    """
    started = time.monotonic()
    run = home.new_run_id(re.sub(r"^[\d_]+", "", notebook.stem) or "notebook")
    execution = Execution(run, _job(run, notebook, parameters, folder, progress=progress), grace_s)
    # Drawing the report needs libraries that take a second or two to import: the notebook leaves that time free.
    ready = asyncio.create_task(asyncio.to_thread(import_module, "nbconvert.exporters.html")) if report else None
    try:
        await execution.run(timeout_s)
    finally:
        if ready:
            await ready
    return _finish(execution, time.monotonic() - started, report=report)


def _job(run: str, notebook: Path, parameters: Parameters, folder: Path | None, *, progress: bool) -> Job:
    output = home.make_folder(folder.absolute() if folder else home.runs() / run) / "notebook.ipynb"
    output.unlink(missing_ok=True)
    return Job(notebook=notebook.absolute(), output=output, parameters=parameters.model_dump(), progress=progress)


def _finish(execution: Execution, took_s: float, *, report: bool) -> NotebookRun:
    from operatorlab.notebook.report import write_report

    output = execution.job.output
    ending, error = _judge(execution, output)
    done = NotebookRun(
        run=execution.run_id,
        notebook=output,
        report=write_report(output, output.with_name("report.html")) if report and output.exists() else None,
        parameters=execution.job.parameters,
        ending=ending,
        signal=execution.signal,
        result=read(output) if ending is Ending.COMPLETED else None,
        error=error,
        took_s=round(took_s, 3),
    )
    output.with_name("result.json").write_text(done.model_dump_json(indent=2) + "\n")
    return done


class Execution:
    """The process that executes a notebook, and everything below it."""

    def __init__(self, run: str, job: Job, grace_s: float) -> None:
        self.job = job
        self.run_id = run
        self.grace_s = grace_s
        self.signal: int | None = None
        self.timed_out = False
        self.exit_code: int | None = None
        self._stop = asyncio.Event()
        self._force = asyncio.Event()

    async def run(self, timeout_s: float | None) -> None:
        """Start, wait, and leave nothing behind."""
        environment = {**os.environ, MARK: self.run_id, "JUPYTER_PREFER_ENV_PATH": "1"}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "operatorlab.notebook.execute",
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=environment,
        )
        assert process.stdin is not None
        process.stdin.write(self.job.model_dump_json().encode() + b"\n")
        try:
            with self._signals():
                await self._wait(process, timeout_s)
        finally:
            killed = await kill_marked(self.run_id)
            self.exit_code = await process.wait()
            process.stdin.close()
            if killed or self.exit_code != 0:
                await _remove_dead_labs()

    async def _wait(self, process: asyncio.subprocess.Process, timeout_s: float | None) -> None:
        over = asyncio.create_task(process.wait())
        stop = asyncio.create_task(self._stop.wait())
        force = asyncio.create_task(self._force.wait())
        try:
            await asyncio.wait({over, stop}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if over.done():
                return
            self.timed_out = not stop.done()
            # Twice: an interrupt that falls between two cells is lost.
            for _ in range(2):
                _interrupt_kernels(process.pid)
                await asyncio.wait({over, force}, timeout=self.grace_s / 2, return_when=asyncio.FIRST_COMPLETED)
                if over.done() or force.done():
                    return
        finally:
            for task in (over, stop, force):
                task.cancel()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        if self.signal is not None:
            self._force.set()
        self.signal = number
        self._stop.set()


async def kill_marked(run: str) -> list[int]:
    """Kill every process of this user whose environment carries exactly this notebook run; returns their pids."""
    from operatorlab.deploy.kin import end

    found = [process for process in await asyncio.to_thread(_processes) if _mark_of(process) == run]
    await end(found)
    return [process.pid for process in found]


def _processes() -> list[psutil.Process]:
    return list(psutil.process_iter())


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def _interrupt_kernels(pid: int) -> None:
    """SIGINT to the children of the executing process: those are its kernels, each in a session of its own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for kernel in psutil.Process(pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                kernel.send_signal(signal.SIGINT)


async def _remove_dead_labs() -> None:
    """A kernel that was killed could not end its lab; labs whose owner is dead are removed."""
    from operatorlab.deploy.labs import cleanup

    await cleanup()


def _judge(execution: Execution, output: Path) -> tuple[Ending, str]:
    """How it ended and, in one line, why."""
    error = _failed_cell(output)
    if execution.signal is not None:
        return Ending.INTERRUPTED, f"stopped by {signal.Signals(execution.signal).name}"
    if execution.timed_out:
        return Ending.TIMED_OUT, "the time limit was reached"
    if error:
        return Ending.CELL_FAILED, error
    if execution.exit_code != 0:
        return Ending.CRASHED, f"the executing process ended with code {execution.exit_code}"
    if read(output) is None:
        return Ending.NO_RESULT, "the last cell recorded no result"
    return Ending.COMPLETED, ""


def _failed_cell(output: Path) -> str:
    """Which cell failed, with its error; empty if none did."""
    if not output.exists():
        return ""
    current = ""
    for cell in load(output).cells:
        current = heading(cell) or current
        for out in cell.get("outputs", []):
            if out.output_type == "error":
                return visible(f"the cell below {current!r} failed: {out.ename}: {out.evalue}")
    return ""
