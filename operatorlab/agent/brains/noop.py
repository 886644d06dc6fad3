"""The baseline that does nothing: it looks at nothing, changes nothing and says that nothing is needed.

What still recovers under it recovered by itself.
"""

from __future__ import annotations

from collections.abc import Generator

from operatorlab.agent.brains.runbook import ProcedureBrain
from operatorlab.procedure import Conclusion, Printed, Step


def noop() -> ProcedureBrain:
    """The baseline."""
    return ProcedureBrain(_nothing, name="noop", label="noop (does nothing, not a model)")


def _nothing(incident: str) -> Generator[Step, Printed, Conclusion]:  # noqa: ARG001  a Procedure's signature
    yield from ()
    return Conclusion(
        outcome="no_action_needed",
        blamed=(),
        kind="none",
        mechanism="nothing was looked at: this baseline never acts",
        confidence=0.0,
    )
