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
from operatorlab.widgets.text import visible


class Job(BaseModel):
    """What to execute, and where to."""

    model_config = ConfigDict(frozen=True)

    notebook: Path
    output: Path
    parameters: dict[str, Scalar]
    progress: bool


class Progress:
    """Says which cell runs, by the heading above it: a bar on a terminal, plain lines elsewhere, on stderr."""

    def __init__(self, headings: list[str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self._headings = headings
        console = Console(stderr=True)
        columns = (BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._bar = Bar(*columns, console=console) if console.is_terminal else None
        self._task = self._bar.add_task("starting the kernel", total=len(headings)) if self._bar else None
        if self._bar:
            self._bar.start()

    def start(self, cell_index: int) -> None:
        """Cell number `cell_index` starts."""
        heading = visible(self._headings[cell_index])
        if self._bar is None or self._task is None:
            sys.stderr.write(f"cell {cell_index + 1}/{len(self._headings)}  {heading}\n")
        else:
            self._bar.update(self._task, completed=cell_index, description=heading)

    def end(self) -> None:
        """No further cell starts."""
        if self._bar is not None:
            self._bar.stop()


def execute(job: Job) -> bool:
    """Run the notebook and write it, cell by cell; False if a cell failed."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    progress = Progress(_headings(job)) if job.progress else None
    hooks: dict[str, Any] = {}
    if progress is not None:
        hooks["on_cell_start"] = lambda cell, cell_index: progress.start(cell_index)
    try:
        papermill.execute_notebook(
            job.notebook, job.output, job.parameters, cwd=job.notebook.parent, progress_bar=False, **hooks
        )
    except PapermillExecutionError:
        return False
    else:
        return True
    finally:
        if progress is not None:
            progress.end()


def main() -> int:
    """Read the job, watch the launcher, execute."""
    job = Job.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_interrupt_when_alone, daemon=True).start()
    return 0 if execute(job) else 1


def _interrupt_when_alone() -> None:
    # Not through sys.stdin: its lock, held by a thread, would break the interpreter's shutdown.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _headings(job: Job) -> list[str]:
    """For every cell of the executed notebook the last heading above it."""
    found, current = [], ""
    for cell in load(job.notebook).cells:
        current = heading(cell) or current
        found.append(current)
        if "parameters" in tags(cell) and job.parameters:
            found.append(current)  # papermill injects a cell of its own after this one
    if job.parameters and not any("parameters" in tags(cell) for cell in load(job.notebook).cells):
        found.insert(0, "parameters")
    return found


if __name__ == "__main__":
    sys.exit(main())
