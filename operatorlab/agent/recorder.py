"""Where a session's deeds go: the audit, and whoever follows live. Texts are redacted on the way to both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from operatorlab.agent.steps import OnStep, Step, StepKind
from operatorlab.audit import AuditStore


@dataclass(frozen=True)
class Recorder:
    """One session's pen."""

    store: AuditStore
    run: str
    session: str
    on_step: OnStep | None = None

    def note(self, kind: str, payload: Mapping[str, object]) -> None:
        """Append an event of this session."""
        self.store.append(kind, payload, run=self.run, session=self.session)

    def tell(self, kind: StepKind, text: str, *, reasoning: str = "", **details: Any) -> None:
        """Tell the follower, if there is one."""
        if self.on_step is not None:
            said, why = self.store.redact(text), self.store.redact(reasoning)
            self.on_step(Step(kind, self.session, self.store.clock.now(), said, why, **details))
