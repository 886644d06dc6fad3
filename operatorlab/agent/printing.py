"""Tells on a terminal, or as JSON lines, what an operator does. All texts are shown, never obeyed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import IO

from rich.console import Console
from rich.text import Text

from operatorlab.agent.loop import SessionResult
from operatorlab.agent.prompts import short
from operatorlab.agent.steps import Step, StepKind
from operatorlab.audit import timestamp
from operatorlab.text import fold, visible

_STYLES = {
    StepKind.THOUGHT: "italic",
    StepKind.COMMAND: "bold cyan",
    StepKind.RESULT: "dim",
    StepKind.REPORT: "bold",
    StepKind.OUTCOME: "bold",
}
_MARKS = {
    StepKind.THOUGHT: "",
    StepKind.COMMAND: "$ ",
    StepKind.RESULT: "  ",
    StepKind.REPORT: "report: ",
    StepKind.OUTCOME: "outcome: ",
}


class Printer:
    """Prints to `out` (standard output). When its reader goes away it falls silent, and the work goes on."""

    def __init__(self, *, json_lines: bool, out: IO[str] | None = None) -> None:
        self._json_lines = json_lines
        self._thought = ""
        self._console = _Console(file=out, highlight=False, soft_wrap=True)

    def hello(self, text: str) -> None:
        """What is told to people only."""
        if not self._json_lines:
            self._line(text, "")

    def step(self, step: Step) -> None:
        """One step, as it happens."""
        if self._json_lines:
            self._object(_step_data(step))
            return
        folded = fold(step.text)
        hidden = [f"[… {folded.hidden} lines …]"] if folded.hidden else []
        text = "\n".join(part for part in (folded.head, *hidden, folded.tail) if part)
        mark = _MARKS[step.kind]
        if step.kind is StepKind.THOUGHT:
            self._thought = step.text
        if step.reasoning and step.reasoning not in self._thought:  # some say the same twice
            self._line(f"# {visible(step.reasoning)}", "green")
        self._line(mark + text.replace("\n", "\n" + " " * len(mark)), _STYLES[step.kind])

    def result(self, result: SessionResult) -> None:
        """How a session ended."""
        if self._json_lines:
            self._object(_result_data(result))
            return
        error = f" ({visible(result.error)})" if result.error else ""
        cost = f", ${result.cost_usd:.4f}" if result.cost_usd else ""
        session = short(result.session_id)
        self._line(f"session {session}: {result.outcome.value}{error}, {result.turns} turns{cost}", "bold")
        self._line(f"read it again: operatorlab audit show {session}", "")

    def _object(self, data: Mapping[str, object]) -> None:
        self._line(json.dumps(data), "")

    def _line(self, text: str, style: str) -> None:
        self._console.print(Text(text, style))


class _Console(Console):
    """Rich ends the program when nobody reads any more; an operator has work to finish."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        if self.file is sys.stdout:  # what Python would still flush at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _step_data(step: Step) -> dict[str, object]:
    return {
        "step": step.kind.value,
        "session": step.session,
        "at": timestamp(step.at.at),
        "text": step.text,
        "reasoning": step.reasoning or None,
        "command_id": step.command_id,
        "exit_code": step.exit_code,
        "duration_s": step.duration_s,
    }


def _result_data(result: SessionResult) -> dict[str, object]:
    return {
        "session": result.session_id,
        "outcome": result.outcome.value,
        "report": result.report.model_dump(mode="json") if result.report else None,
        "turns": result.turns,
        "cost_usd": result.cost_usd,
        "error": result.error,
    }
