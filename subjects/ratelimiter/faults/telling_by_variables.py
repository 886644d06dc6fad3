"""A node that is a container is told its settings by files of its image, and by variables that it is made with."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import ContainerDeployment, Json
from subjects.ratelimiter.faults.fixing import make_anew
from subjects.ratelimiter.faults.telling import Settings


class ByVariables:
    """See `telling.Telling`. What a container was made with goes with it: no memo is needed to make it as declared."""

    def __init__(self, told: Settings, deployment: ContainerDeployment) -> None:
        self._told = told
        self._deployment = deployment

    async def wrongly(self) -> Mapping[str, Json]:
        variables = dict(self._told.variables)
        await self._deployment.roll_out(self._told.target, {**await self._has(), **variables})
        if self._told.lives:
            await self._deployment.start(self._told.target)
        return {"rolled_out": variables}

    async def is_wrong(self) -> bool:
        return self._told.variables.items() <= (await self._has()).items()

    async def rightly(self, memo: Mapping[str, Json]) -> None:
        has = await self._has()
        left = dict(has.items() - self._told.variables.items())
        if left != has:
            await self._deployment.roll_out(self._told.target, left)
        await self._deployment.start(self._told.target)

    def fix(self) -> tuple[str, ...]:
        return (make_anew(self._told.target),)

    async def _has(self) -> Mapping[str, str]:
        return await self._deployment.rolled_out(self._told.target)
