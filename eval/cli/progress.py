"""Progress of a campaign: a bar that names what each worker is at; without a terminal, plain lines to `lines`."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self, TextIO

import click

from eval.evidence import Evidence
from eval.executor import Progress
from eval.score import Score
from operatorlab.text import visible


class Bar:
    """Told of each phase and each trial that is done. A context: the bar is cleared at its end."""

    def __init__(self, total: int, done: int, lines: TextIO | None = None) -> None:
        self.total, self.done = total, done
        self._lines = lines
        self._began = time.monotonic()
        self._ran = 0
        self._phases: dict[int, str] = {}
        self._bar: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self.total, initial=self.done, unit="trial", leave=False, dynamic_ncols=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, trouble: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def phase(self, progress: Progress) -> None:
        """A trial has come to a phase."""
        self._phases[progress.worker] = f"{progress.trial.number} {progress.phase}"
        if self._bar is not None:
            self._bar.set_postfix_str(" · ".join(self._phases[worker] for worker in sorted(self._phases)))

    def trial(self, evidence: Evidence, score: Score) -> None:
        """A trial is done."""
        self.done, self._ran = self.done + 1, self._ran + 1
        if self._bar is not None:
            self._bar.update()
        verdict = score.verdict or f"none: {evidence.ended}, {evidence.error or ''}"
        line = f"[{self.done}/{self.total}] {score.scenario} · {score.variant}: {verdict}"
        if self._bar is None or score.verdict is None:
            self._tell(visible(line))

    def rate(self) -> str:
        """How fast it went."""
        took_s = time.monotonic() - self._began
        if not self._ran:
            return "nothing was run"
        return f"{self._ran} trials in {took_s:.0f} s, {self._ran / took_s * 3600:.0f} an hour"

    def _tell(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            click.echo(line, file=self._lines or sys.stderr)
