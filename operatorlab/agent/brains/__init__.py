"""What answers the Messages API: `Claude` (a real model), `runbook` (deterministic) and `noop` (the baseline)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from operatorlab.agent.brains.base import Brain
from operatorlab.agent.brains.claude import DEFAULT_MODEL, EFFORTS, Claude
from operatorlab.agent.brains.noop import noop
from operatorlab.agent.brains.runbook import ProcedureBrain, runbook
from operatorlab.errors import BadParameter, UnknownName, UserError
from operatorlab.subject import Subject

__all__ = ["BRAINS", "DEFAULT_MODEL", "EFFORTS", "Brain", "Claude", "ProcedureBrain", "make_brain", "noop", "runbook"]

BRAINS = ("runbook", "claude", "noop")


def make_brain(
    name: str,
    *,
    subject: Subject | None = None,
    model: str | None = None,
    base_url: str | None = None,
    effort: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Brain:
    """A brain by its name. `runbook` plays the procedure that `subject` brings.

    `claude` takes its key, and where `base_url` is not given that too, from `environment` (this process's); no other
    brain has an `effort`. Raises UnknownName or UserError.
    """
    environment = os.environ if environment is None else environment
    if effort is not None and name in BRAINS and name != "claude":
        raise BadParameter(f"the brain {name!r} takes no effort", next_step="leave it out, or use the brain `claude`")
    if name == "claude":
        url = base_url or environment.get("ANTHROPIC_BASE_URL") or None
        return Claude(model or DEFAULT_MODEL, url, environment.get("ANTHROPIC_API_KEY") or None, effort)
    if name == "noop":
        return noop()
    if name != "runbook":
        raise UnknownName("brain", name, BRAINS)
    procedure = subject.procedure() if subject is not None else None
    if procedure is None:
        whose = f"the subject {subject.name}" if subject else "no subject was named, so it"
        raise UserError(
            f"{whose} brings no procedure for the brain `runbook`",
            next_step="choose another brain: " + ", ".join(b for b in BRAINS if b != "runbook"),
        )
    return runbook(procedure)
