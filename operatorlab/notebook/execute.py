"""Execute one notebook by papermill: `python -m operatorlab.notebook.execute`, a process of its own.

The job comes as one JSON line on stdin, which stays open as long as the launcher lives: when it closes,
the launcher has died, and the notebook is interrupted so that the kernel can end what it started. Exit
code 0 means that every cell ran, 1 that one failed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from operatorlab.notebook.files import heading, load, tags
from operatorlab.notebook.parameters import Scalar
from operatorlab.text import visible


class Job(BaseModel):
    """What to execute, and where to."""

    model_config = ConfigDict(frozen=True)

    notebook: Path
    output: Path
    parameters: dict[str, Scalar]
    progress: bool


class Progress:
    """Says which cell runs, by the heading above it: a bar on a terminal, plain lines elsewhere, on stderr.

    `headings` holds one for each code cell, by the cell's place in the executed notebook.
    """

    def __init__(self, headings: dict[int, str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self._headings = headings
        self._done = 0
        words = TextColumn("{task.description}", markup=False)
        self._bar = Bar(BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), words, console=Console(stderr=True))
        self._task = self._bar.add_task("starting the kernel", total=len(headings))
        if self._bar.console.is_terminal:
            self._bar.start()

    def start(self, cell_index: int) -> None:
        """The code cell number `cell_index` starts."""
        heading = self._headings.get(cell_index, "")
        if self._bar.console.is_terminal:
            self._bar.update(self._task, completed=self._done, description=heading)
        else:
            sys.stderr.write(f"cell {self._done + 1}/{len(self._headings)}  {heading}\n")
        self._done += 1

    def end(self, *, well: bool) -> None:
        """No further cell starts."""
        if self._bar.console.is_terminal:
            self._bar.update(self._task, completed=self._done if well else self._done - 1)
            self._bar.stop()


def execute(job: Job) -> bool:
    """Run the notebook and write it, cell by cell; False if a cell failed."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    progress = Progress(_headings(job)) if job.progress else None
    options: dict[str, Any] = {"extra_arguments": ["--IPKernelApp.log_level=ERROR"]}
    if progress is not None:
        options["on_cell_execute"] = lambda cell, cell_index: progress.start(cell_index)
    well = False
    try:
        papermill.execute_notebook(
            job.notebook, job.output, job.parameters, cwd=job.notebook.parent, progress_bar=False, **options
        )
        well = True
    except PapermillExecutionError:
        pass  # it is in the notebook, and the launcher tells it
    finally:
        if progress is not None:
            progress.end(well=well)
    return well


def main() -> int:
    """Read the job, watch the launcher, execute."""
    job = Job.model_validate_json(sys.stdin.buffer.readline())
    # Whatever a script runs in the background ignores SIGINT, and so do the children of that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_interrupt_when_alone, daemon=True).start()
    return 0 if execute(job) else 1


def _interrupt_when_alone() -> None:
    # Not through sys.stdin: its lock, held by a thread, would break the interpreter's shutdown.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _headings(job: Job) -> dict[int, str]:
    """For every code cell of the executed notebook, by its place, the last heading above it."""
    cells = load(job.notebook).cells
    tagged = next((i for i, cell in enumerate(cells) if "parameters" in tags(cell)), -1)
    found, current, injected = {}, "", 0
    for i, cell in enumerate(cells):
        if job.parameters and not injected and i > tagged:
            found[i] = visible(current) or "parameters"  # papermill puts a cell of its own here
            injected = 1
        current = heading(cell) or current
        if cell.cell_type == "code" and cell.source.strip():
            found[i + injected] = visible(current)
    return found


if __name__ == "__main__":
    sys.exit(main())
