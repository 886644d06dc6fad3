"""A bench: warm labs on which trials run one after the other, each on a system proven to be as new.

Bringing a lab up costs about as much as making it new again, but supervisord and the boundary are kept by a reset, and
so is the baseline that freshness is proven against. With a spare lab no trial waits for a reset: one lab is made new
while a trial runs on the other.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from eval.damage import stale
from eval.evidence import Inventory
from eval.inventory import take
from operatorlab.deploy.base import LabDeployment
from operatorlab.deploy.kinds import bring_up
from operatorlab.errors import OperatorLabError
from operatorlab.registry import find_subject


@dataclass(frozen=True)
class _Warm:
    """A lab, what it held when it came up, and why it cannot be used again, if it cannot."""

    deployment: LabDeployment
    pristine: Inventory
    spoilt: tuple[str, ...] = ()


class Bench:
    """Keeps one lab of `subject` between trials, or two with `spare`. Leaving the context takes them down."""

    def __init__(self, subject: str, deployment: str, *, spare: bool = False) -> None:
        self.subject = find_subject(subject)
        self.kind = deployment
        self._spare = spare
        self._used: _Warm | None = None
        self._next: asyncio.Task[_Warm] | None = None

    def __repr__(self) -> str:
        return f"<Bench for {self.subject.name}: {self._used.deployment if self._used else 'no lab yet'}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, trouble: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait({self._next})
            if not self._next.cancelled() and not self._next.exception():
                await self._next.result().deployment.down()
        await self.discard()

    async def fresh(self) -> tuple[LabDeployment, tuple[str, ...]]:
        """A lab as new, and what made an earlier one be thrown away for not being so; empty most of the time."""
        used, self._used = self._used, None
        coming, self._next = self._next, asyncio.create_task(_renewed(used)) if used else None
        if not self._spare:
            coming, self._next = self._next, None
        self._used = warm = await (coming or self._new())
        found = warm.spoilt or stale(warm.pristine, await take(warm.deployment))
        if found:
            await self.discard()
            self._used = warm = await self._new()
        warm.deployment.folder.joinpath("clients.jsonl").unlink(missing_ok=True)
        return warm.deployment, found

    async def _new(self) -> _Warm:
        deployment = await bring_up(self.kind, self.subject)
        return _Warm(deployment, await take(deployment))

    async def discard(self) -> None:
        """Take the lab in use down; the next trial has another."""
        used, self._used = self._used, None
        if used is not None:
            await used.deployment.down()


async def _renewed(used: _Warm) -> _Warm:
    """Make it new again. One that is given up while that is done is taken down."""
    try:
        await used.deployment.reset()
    except (OperatorLabError, OSError) as trouble:
        return _Warm(used.deployment, used.pristine, (f"the reset failed: {trouble}",))
    except BaseException:
        await asyncio.shield(used.deployment.down())
        raise
    return used
