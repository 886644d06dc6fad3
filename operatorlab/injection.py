"""Faults put into one running lab, and taken out again, perhaps by another process.

A fault is recorded before it is injected and its memo right after, so that whatever was injected can be
healed from the audit alone, whoever did it and whatever happened to them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from operatorlab.clock import Instant
from operatorlab.errors import TimedOut, UnknownName
from operatorlab.registry import find_fault
from operatorlab.validate import ValidFault

if TYPE_CHECKING:
    from operatorlab.audit import AuditStore
    from operatorlab.deploy.base import LabDeployment

_SELECT = "select id, name, target, memo, injected_at, injected_mono from faults where run = :run"


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that was injected: what `inject` returns and `heal` takes."""

    id: str
    name: str
    target: str
    at: Instant

    def __repr__(self) -> str:
        return f"<Injected {self.name} on {self.target} at {self.at.at:%H:%M:%S}>"

    def _repr_html_(self) -> str:
        from operatorlab.widgets import html

        return html.fault(self)


class Injections:
    """The faults of one lab."""

    def __init__(self, store: AuditStore, deployment: LabDeployment) -> None:
        self._store = store
        self._deployment = deployment

    def __repr__(self) -> str:
        return f"<Injections into {self._deployment.run_id}: {len(self.unhealed())} not healed>"

    async def inject(self, name: str, target: str | None = None) -> Injected:
        """Break something. UnknownName if the subject has no such fault or the fault no such target."""
        fault = self._fault(name, target)
        id_ = self._store.begin_fault(self._deployment.run_id, fault.name, fault.target, asdict(fault.truth()))
        self._store.set_fault_memo(id_, await fault.inject(self._deployment))
        return _injected(self._row(id_))

    async def active(self, injected: Injected) -> bool:
        """Whether its mechanism is in force right now, from the system's own state."""
        return await self._fault(injected.name, injected.target).active(self._deployment, self._memo(injected))

    async def heal(self, injected: Injected) -> None:
        """Undo it; twice does no harm. TimedOut if it is in force all the same."""
        fault, memo = self._fault(injected.name, injected.target), self._memo(injected)
        await fault.heal(self._deployment, memo)
        if await fault.active(self._deployment, memo):
            raise TimedOut(f"{fault.name} on {fault.target} is still in force after it was healed")
        self._store.end_fault(injected.id)

    def unhealed(self) -> list[Injected]:
        """What was injected and not healed, latest first: what came last has to be undone first."""
        sql = f"{_SELECT} and healed_at is null order by injected_mono desc"
        return [_injected(row) for row in self._store.rows(sql, {"run": self._deployment.run_id})]

    def _fault(self, name: str, target: str | None) -> ValidFault:
        return ValidFault(find_fault(self._deployment.subject, name, target, deployment=self._deployment.kind))

    def _memo(self, injected: Injected) -> Mapping[str, object]:
        memo: Mapping[str, object] = json.loads(str(self._row(injected.id)["memo"] or "{}"))
        return memo

    def _row(self, id_: str) -> Mapping[str, object]:
        rows = self._store.rows(f"{_SELECT} and id = :id", {"run": self._deployment.run_id, "id": id_})
        if not rows:
            raise UnknownName("injected fault", id_, [one.id for one in self.unhealed()])
        return rows[0]


def _injected(row: Mapping[str, object]) -> Injected:
    at = Instant(float(str(row["injected_mono"])), datetime.fromisoformat(str(row["injected_at"])))
    return Injected(str(row["id"]), str(row["name"]), str(row["target"]), at)
