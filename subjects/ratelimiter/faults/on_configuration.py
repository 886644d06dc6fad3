"""What faults in a node's configuration have in common: a file is changed, and the node started anew with it.

Only where members are processes is there a file to change: in containers it is part of a read-only image.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import httpx

from operatorlab.errors import OperatorLabError
from operatorlab.subject import PROCESSES, Deployment, Json, MemberState
from subjects.ratelimiter.faults.fixing import restart
from subjects.ratelimiter.faults.on_member import MemberFault

_WITHIN_S = 1.0
_SET = (
    "import json, sys; path, right, wrong = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]); "
    "now = {k: v for k, v in json.load(open(path)).items() if k not in wrong or k in right}; "
    "open(path, 'w').write(json.dumps({**now, **right}, indent=2) + chr(10))"
)


class ConfigurationFault(MemberFault):
    """A node that runs with settings its owners never wrote."""

    deployments = (PROCESSES,)
    also: ClassVar[tuple[str, ...]] = ("node_down",)  # while it is started anew
    found_within_s = 8.0  # starting it takes a second or two of that
    wrong: ClassVar[Mapping[str, Json]]
    right: ClassVar[Mapping[str, Json]] = MappingProxyType({})  # what the owners wrote of them; else they wrote nothing

    @property
    def path(self) -> str:
        """The file, in the lab's folder."""
        return f"etc/{self.target}.json"

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Write the wrong settings, and start the node with them; the memo keeps the file as it was."""
        before = await self.read(deployment)
        await self.write(deployment, json.dumps({**json.loads(before), **self.wrong}, indent=2) + "\n")
        await self.start_anew(deployment)
        return {"before": before}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the file is wrong, or what the node says that it was told at its start."""
        return self._is_wrong(await self.read(deployment)) or self._is_wrong(await self._told(deployment))

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Write the file as it was, and have a node run that has read it."""
        if not memo:
            await self.set_running(deployment)
            return
        await self.write(deployment, str(memo["before"]))
        told = await self._told(deployment)
        if not told or self._is_wrong(told):  # one that says nothing may just be starting, with the wrong file
            await self.start_anew(deployment)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Set the file right, and start the node with it."""
        change = shlex.join((self.path, json.dumps(dict(self.right)), json.dumps(dict(self.wrong))))
        return (f"python3 -c {shlex.quote(_SET)} {change}", restart(deployment, self.target))

    async def read(self, deployment: Deployment) -> str:
        """The configuration file."""
        return await self._run(deployment, "cat", self.path)

    async def write(self, deployment: Deployment, text: str, path: str = "") -> None:
        """Write it, or another file."""
        await self._run(deployment, "sh", "-c", 'printf %s "$2" >"$1"', "sh", path or self.path, text)

    async def start_anew(self, deployment: Deployment) -> None:
        """End it and start it."""
        await deployment.stop(self.target)
        await deployment.start(self.target)

    def _is_wrong(self, text: str) -> bool:
        try:
            told = json.loads(text)
        except ValueError:
            return False
        return (
            bool(self.wrong)
            and isinstance(told, dict)
            and all(told.get(name) == value for name, value in self.wrong.items())
        )

    async def _told(self, deployment: Deployment) -> str:
        """What the node says it was told at its start; nothing if it says nothing."""
        if await deployment.state(self.target) is not MemberState.RUNNING:
            return ""
        host, port = deployment.address(self.target)
        async with httpx.AsyncClient(timeout=_WITHIN_S, trust_env=False) as client:
            try:
                return (await client.get(f"http://{host}:{port}/api/config")).text
            except httpx.TransportError:
                return ""

    async def _run(self, deployment: Deployment, *argv: str) -> str:
        code, printed = await deployment.run(self.target, *argv)
        if code != 0:
            raise OperatorLabError(f"{argv[0]} failed in the lab's folder: {printed.strip()}")
        return printed
