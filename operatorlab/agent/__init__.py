"""The operator and what it thinks with: `Operator`, its budget, its brains, its closed set of outcomes.

Names are loaded when first used: the SDK takes half a second to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from operatorlab.agent.brains import Brain, Claude, noop, runbook
    from operatorlab.agent.budget import Budget
    from operatorlab.agent.gate import Gate
    from operatorlab.agent.loop import Operator, SessionResult
    from operatorlab.agent.outcome import Claim, Outcome
    from operatorlab.agent.prompts import Instructions
    from operatorlab.agent.report import Report
    from operatorlab.agent.steps import Step, StepKind

_WHERE = {
    "Brain": "operatorlab.agent.brains",
    "Budget": "operatorlab.agent.budget",
    "Claim": "operatorlab.agent.outcome",
    "Claude": "operatorlab.agent.brains",
    "Gate": "operatorlab.agent.gate",
    "Instructions": "operatorlab.agent.prompts",
    "Operator": "operatorlab.agent.loop",
    "Outcome": "operatorlab.agent.outcome",
    "Report": "operatorlab.agent.report",
    "SessionResult": "operatorlab.agent.loop",
    "Step": "operatorlab.agent.steps",
    "StepKind": "operatorlab.agent.steps",
    "noop": "operatorlab.agent.brains",
    "runbook": "operatorlab.agent.brains",
}

__all__ = [
    "Brain",
    "Budget",
    "Claim",
    "Claude",
    "Gate",
    "Instructions",
    "Operator",
    "Outcome",
    "Report",
    "SessionResult",
    "Step",
    "StepKind",
    "noop",
    "runbook",
]


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'operatorlab.agent' has no attribute {name!r}")
