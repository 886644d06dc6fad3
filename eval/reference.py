"""The operator that runs the subject's own reference fix: it is told the answer, and shows that a trial can be won."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from operatorlab.agent.brains import ProcedureBrain
from operatorlab.procedure import Conclusion, Printed, Step
from operatorlab.subject import Deployment, Fault


def reference(faults: Sequence[Fault], deployment: Deployment) -> ProcedureBrain:
    """A brain that runs `Fault.fix` of each fault, and escalates where one has none."""
    commands = [command for fault in faults for command in fault.fix(deployment)]
    known = all(fault.fix(deployment) for fault in faults)
    return ProcedureBrain(
        lambda _: _fixing(faults, commands, "resolved" if known else "escalated"),
        name="reference",
        label="reference fix (knows the answer, not an operator)",
    )


def _fixing(faults: Sequence[Fault], commands: Sequence[str], outcome: str) -> Generator[Step, Printed, Conclusion]:
    yield Step("true", "a report needs evidence that can be cited")
    for command in commands:
        yield Step(command, "this is the reference fix")
    truths = [fault.truth() for fault in faults]
    return Conclusion(
        outcome=outcome,
        blamed=tuple(truth.component for truth in truths),
        kind=truths[0].kind.value if truths else "none",
        mechanism="; ".join(truth.mechanism for truth in truths) or "nothing was broken",
        confidence=1.0,
        changed=tuple(commands),
        spread=tuple(hop for truth in truths for hop in truth.spread),
    )
