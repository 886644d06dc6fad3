"""The structured diagnosis that ends a session."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from operatorlab.agent.outcome import Claim
from operatorlab.subject import FaultKind


class Alternative(BaseModel):
    """A cause that was considered and rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cause: str
    why_rejected: str


class Hop(BaseModel):
    """One component's trouble that became another's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cause: str
    effect: str


class Report(BaseModel):
    """What the operator claims. `evidence` holds full ids of commands and tickets; `confidence` lies in 0…1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Claim
    blamed: tuple[str, ...]
    kind: FaultKind
    mechanism: str
    evidence: tuple[str, ...]
    alternatives: tuple[Alternative, ...] = ()
    confidence: float
    changed: tuple[str, ...] = ()
    follow_ups: tuple[str, ...] = ()
    spread: tuple[Hop, ...] = ()
