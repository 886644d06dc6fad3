"""Faults put into one running lab, and taken out again, perhaps by another process.

A fault is recorded before it is injected and its memo right after, so that whatever was injected can be
healed from the audit alone, whoever did it and whatever happened to them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from operatorlab.clock import Clock, Instant, SystemClock
from operatorlab.errors import BadParameter, TimedOut, UnknownName
from operatorlab.registry import find_composite, find_fault
from operatorlab.subject import Composite, Part
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
    parts: tuple[Injected, ...] = ()  # of a composite, which has no row of its own: each part has one

    def __repr__(self) -> str:
        return f"<Injected {self.name} on {self.target} at {self.at.at:%H:%M:%S}>"

    def _repr_html_(self) -> str:
        from operatorlab.widgets import html

        return html.fault(self)


class Injections:
    """The faults of one lab."""

    def __init__(self, store: AuditStore, deployment: LabDeployment, clock: Clock | None = None) -> None:
        self._store = store
        self._deployment = deployment
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"<Injections into {self._deployment.run_id}: {len(self.unhealed())} not healed>"

    async def inject(self, name: str, target: str | None = None, *, load: str | None = None) -> Injected:
        """Break something: a fault, or a composite, which takes until its last part is where it stays.

        UnknownName if the subject has nothing of that name or the fault no such target; BadParameter for a
        composite that needs another load than `load`, where that is known.
        """
        composite = find_composite(self._deployment.subject, name, deployment=self._deployment.kind)
        if composite is None:
            return await self._inject(name, target)
        if target is not None:
            raise BadParameter(f"{name} is made of several faults, and says itself what it is aimed at")
        if load is not None and composite.load not in {None, load}:
            step = f"operatorlab load {composite.load}, or Lab(…, load={composite.load!r})"
            raise BadParameter(f"{name} needs the load {composite.load!r}, not {load!r}", next_step=step)
        return await self._play(composite)

    async def _play(self, composite: Composite) -> Injected:
        """Begin each part at its time, and take back those that do not stay."""
        began = self._clock.now()
        async with asyncio.TaskGroup() as playing:
            tasks = [playing.create_task(self._play_part(part)) for part in composite.parts]
        parts = tuple(sorted((task.result() for task in tasks), key=lambda one: one.at.monotonic))
        targets = ", ".join(dict.fromkeys(part.target for part in composite.parts))
        return Injected("", composite.name, targets, began, parts)

    async def _play_part(self, part: Part) -> Injected:
        await asyncio.sleep(part.after_s)
        injected = await self._inject(part.fault.name, part.target)
        if part.lasts_s is not None:
            await asyncio.sleep(part.lasts_s)
            await self.heal(injected)
        return injected

    async def _inject(self, name: str, target: str | None) -> Injected:
        fault = self._fault(name, target)
        id_ = self._store.begin_fault(self._deployment.run_id, fault.name, fault.target, asdict(fault.truth()))
        self._store.set_fault_memo(id_, await fault.inject(self._deployment))
        return _injected(self._row(id_))

    async def active(self, injected: Injected) -> bool:
        """Whether its mechanism, or one of its parts', is in force right now, from the system's own state."""
        if not injected.id:
            return any([await self.active(part) for part in injected.parts])
        return await self._fault(injected.name, injected.target).active(self._deployment, self._memo(injected))

    async def heal(self, injected: Injected) -> None:
        """Undo it; twice does no harm. TimedOut if it is in force all the same. Of parts, the latest first."""
        for part in reversed(injected.parts):
            await self.heal(part)
        if not injected.id:
            return
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
