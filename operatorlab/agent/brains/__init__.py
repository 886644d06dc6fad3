"""What answers the Messages API: `Claude` (a real model), `runbook` (deterministic) and `noop` (the baseline)."""

from operatorlab.agent.brains.base import Brain
from operatorlab.agent.brains.claude import DEFAULT_MODEL, Claude
from operatorlab.agent.brains.noop import noop
from operatorlab.agent.brains.runbook import ProcedureBrain, runbook

__all__ = ["DEFAULT_MODEL", "Brain", "Claude", "ProcedureBrain", "noop", "runbook"]
