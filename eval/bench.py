"""A bench: one warm lab on which trials run one after the other, each on a system proven to be as new.

Bringing a lab up costs about as much as making it new again, but supervisord and the boundary are kept by a reset, and
so is the baseline that freshness is proven against.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from eval.damage import stale
from eval.evidence import Inventory
from eval.inventory import take
from operatorlab.deploy.base import LabDeployment
from operatorlab.deploy.kinds import bring_up
from operatorlab.errors import OperatorLabError
from operatorlab.registry import find_subject


class Bench:
    """Keeps one lab of `subject` between trials. Leaving the context takes it down."""

    def __init__(self, subject: str, deployment: str) -> None:
        self.subject = find_subject(subject)
        self.kind = deployment
        self._deployment: LabDeployment | None = None
        self._pristine: Inventory | None = None

    def __repr__(self) -> str:
        return f"<Bench for {self.subject.name}: {self._deployment or 'no lab yet'}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, trouble: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.discard()

    async def fresh(self) -> tuple[LabDeployment, tuple[str, ...]]:
        """A lab as new, and what made an earlier one be thrown away for not being so; empty most of the time."""
        found: tuple[str, ...] = ()
        if self._deployment is not None:
            found = await self._renewed(self._deployment)
            if found:
                await self.discard()
        if self._deployment is None:
            self._deployment = await bring_up(self.kind, self.subject)
            self._pristine = await take(self._deployment)
        self._deployment.folder.joinpath("clients.jsonl").unlink(missing_ok=True)
        return self._deployment, found

    async def _renewed(self, deployment: LabDeployment) -> tuple[str, ...]:
        """Reset it; what is left of its life before."""
        try:
            await deployment.reset()
        except (OperatorLabError, OSError) as trouble:
            return (f"the reset failed: {trouble}",)
        assert self._pristine is not None
        return stale(self._pristine, await take(deployment))

    async def discard(self) -> None:
        """Take the lab down; the next trial brings up another."""
        deployment, self._deployment = self._deployment, None
        if deployment is not None:
            await deployment.down()
