"""A node that is a process is told its settings by a file in the lab's folder."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from operatorlab.errors import OperatorLabError
from operatorlab.subject import Deployment, Json, MemberState
from subjects.ratelimiter.faults.fixing import restart, start
from subjects.ratelimiter.faults.telling import Settings

_WITHIN_S = 1.0


class ByFile:
    """See `telling.Telling`. The memo keeps the file as it was."""

    def __init__(self, told: Settings, deployment: Deployment) -> None:
        self._told = told
        self._deployment = deployment

    async def wrongly(self) -> Mapping[str, Json]:
        for path, text in self._told.files.items():
            await self._write(path, text)
        before = await self._read()
        await self._write(self._told.path, self._told.spoilt(before))
        await self._start_anew()
        return {"before": before}

    async def is_wrong(self) -> bool:
        return self._told.is_spoilt(await self._read()) or await self._runs_wrong()

    async def rightly(self, memo: Mapping[str, Json]) -> None:
        if memo:
            await self._write(self._told.path, str(memo["before"]))
        if memo and await self._runs_wrong(if_silent=True):
            await self._deployment.stop(self._told.target)
        if await self._deployment.state(self._told.target) is not MemberState.RUNNING:
            await self._deployment.start(self._told.target)
        for path in self._told.files:
            await self._run("rm", "-f", path)

    def fix(self) -> tuple[str, ...]:
        again = restart if self._told.lives else start
        removing = (f"rm {path}" for path in self._told.files)
        return (self._told.mending, again(self._deployment, self._told.target), *removing)

    async def _start_anew(self) -> None:
        await self._deployment.stop(self._told.target)
        if self._told.lives:
            await self._deployment.start(self._told.target)
        else:
            await self._deployment.run(self._told.target, "supervisorctl", "start", self._told.target)

    async def _runs_wrong(self, *, if_silent: bool = False) -> bool:
        """Whether the node says so; `if_silent` is what one that says nothing is taken for: it may just be starting."""
        said = await self._says()
        return self._told.is_spoilt(said) if said else if_silent

    async def _says(self) -> str:
        """What the node says it was told at its start; nothing if it says nothing."""
        target = self._told.target
        if await self._deployment.state(target) is not MemberState.RUNNING:
            return ""
        host, port = self._deployment.address(target)
        async with httpx.AsyncClient(timeout=_WITHIN_S, trust_env=False) as client:
            try:
                return (await client.get(f"http://{host}:{port}/api/config")).text
            except httpx.TransportError:
                return ""

    async def _read(self) -> str:
        return await self._run("cat", self._told.path)

    async def _write(self, path: str, text: str) -> None:
        await self._run("sh", "-c", 'printf %s "$2" >"$1"', "sh", path, text)

    async def _run(self, *argv: str) -> str:
        code, printed = await self._deployment.run(self._told.target, *argv)
        if code != 0:
            raise OperatorLabError(f"{argv[0]} failed in the lab's folder: {printed.strip()}")
        return printed
