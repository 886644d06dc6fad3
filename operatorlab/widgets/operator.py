"""The panel of the operator: what it thinks, runs and reads, and how the session ends."""

from __future__ import annotations

from dataclasses import dataclass

from operatorlab.widgets import html
from operatorlab.widgets.panel import HERE, Panel
from operatorlab.widgets.view import StepRow

_LABELS = {
    "runbook": "runbook (deterministic, not a model)",
    "noop": "noop (does nothing, not a model)",
    "replay": "replay (a recorded session, not a model)",
    "human": "human",
}


def label(brain: str, model: str = "") -> str:
    """Who answers, in words that cannot be mistaken: a deterministic brain is never shown as a model."""
    return _LABELS.get(brain, f"{brain} (model {model})" if model else brain)


@dataclass(frozen=True, slots=True)
class OperatorView:
    """What the panel shows."""

    brain: str
    status: str = ""
    steps: tuple[StepRow, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        commands = sum(step.kind == "command" for step in self.steps)
        ended = next((step.text for step in reversed(self.steps) if step.kind == "outcome"), "")
        return " · ".join(
            part for part in (self.brain, f"{commands} commands", ended or self.status, self.note) if part
        )


class OperatorPanel(Panel[OperatorView]):
    """A live, scrolling account of one session."""

    _esm = HERE / "operator.js"

    def static(self) -> str:
        return html.operator(self.shown)
