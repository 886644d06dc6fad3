"""The faults of one scenario in one lab: injected when they are due, taken back if they are to be, checked, healed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from eval.evidence import FaultSeen, Moment
from eval.scenario import Broken, Scenario
from operatorlab.deploy.base import LabDeployment
from operatorlab.injection import Injected
from operatorlab.registry import find_fault
from operatorlab.subject import Fault, Subject


class Injector(Protocol):
    """What injects: a lab, or the injections of one whose monitor and clients have ended."""

    async def inject(self, name: str, target: str | None = None) -> Injected: ...

    async def active(self, injected: Injected) -> bool: ...

    async def heal(self, injected: Injected) -> None: ...


@dataclass
class _Part:
    """One fault and what is known of it."""

    asked: Broken
    fault: Fault
    injected: Injected | None = None
    fixable: bool = False
    withdrawn: bool = False
    active: bool | None = None
    healed: bool | None = None
    trouble: str = ""


class Breaking:
    """Breaks what the scenario says."""

    def __init__(self, scenario: Scenario, subject: Subject) -> None:
        self._parts = [
            _Part(part, find_fault(subject, part.fault, part.target, deployment=scenario.deployment))
            for part in sorted(scenario.parts, key=lambda part: part.after_s)
        ]

    @property
    def faults(self) -> Sequence[Fault]:
        """What is broken, in the order in which it is."""
        return [part.fault for part in self._parts]

    @property
    def over(self) -> bool:
        """Whether of every fault the last check said that it is not in force."""
        return all(part.active is False for part in self._parts)

    @contextlib.asynccontextmanager
    async def begun(self, lab: Injector, deployment: LabDeployment) -> AsyncIterator[None]:
        """Inject the first parts now, and the later ones and the withdrawals while the context lasts."""
        began = asyncio.get_running_loop().time()
        for part in self._parts:
            part.fixable = bool(part.fault.fix(deployment))
            if part.asked.after_s <= 0:
                await self._inject(lab, part)
        running = [asyncio.create_task(self._later(lab, part, began)) for part in self._parts]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)
        for task in running:
            if not task.cancelled():
                task.result()

    async def _later(self, lab: Injector, part: _Part, began: float) -> None:
        loop = asyncio.get_running_loop()
        if part.injected is None:
            await asyncio.sleep(began + part.asked.after_s - loop.time())
            await self._inject(lab, part)
        if part.asked.lasts_s is not None and part.injected is not None:
            await asyncio.sleep(began + part.asked.after_s + part.asked.lasts_s - loop.time())
            await lab.heal(part.injected)
            part.withdrawn = True

    async def _inject(self, lab: Injector, part: _Part) -> None:
        part.injected = await lab.inject(part.asked.fault, part.asked.target)

    async def check(self, lab: Injector) -> bool:
        """Ask for each fault whether it is in force, and whether any is; one that cannot tell has a reason noted."""
        for part in self._parts:
            if part.injected is not None:
                part.active = None
                try:
                    part.active = await lab.active(part.injected)
                except Exception as trouble:  # noqa: BLE001  a fault is a subject's code: whatever it raises is noted
                    part.trouble = f"{type(trouble).__name__}: {trouble}"

        return any(part.active for part in self._parts)

    async def heal(self, lab: Injector) -> None:
        """Undo what was injected, latest first; what cannot be undone is noted, the next reset will."""
        for part in reversed(self._parts):
            if part.injected is not None:
                try:
                    await lab.heal(part.injected)
                    part.healed = True
                except Exception as trouble:  # noqa: BLE001  as above
                    part.healed, part.trouble = False, f"{type(trouble).__name__}: {trouble}"

    def seen(self) -> tuple[FaultSeen, ...]:
        """What the evidence keeps; faults that never came to be injected are not in it."""
        return tuple(
            FaultSeen.of(
                part.fault,
                Moment.of(part.injected.at),
                fixable=part.fixable,
                withdrawn=part.withdrawn,
                active=part.active,
                healed=part.healed,
                trouble=part.trouble,
            )
            for part in self._parts
            if part.injected is not None
        )
