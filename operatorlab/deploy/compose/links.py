"""The links of a stack: cut, delay and mend a path by the rules of the container that relays it.

A delay uses the kernel's `netem` in the link's network where there is one, and the link's own rule where
there is not. The link was there from the start: nothing has to be restarted for it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from operatorlab.deploy.compose.containers import Containers
from operatorlab.deploy.compose.stack import AGENT_IMAGE, LinkService, Stack
from operatorlab.errors import BadParameter, TimedOut, UnknownName
from operatorlab.subject import MemberState

_APPLIED_WITHIN_S = 5.0
_WRITE = 'printf %s "$RULES" >"$FILE.new" && mv "$FILE.new" "$FILE" && kill -HUP 1'


class Links:
    """Commands to the links of one lab."""

    def __init__(self, stack: Stack, containers: Containers, ensure: Callable[[str], Awaitable[None]]) -> None:
        """`ensure` has the container of a service run, made again if it is missing."""
        self._stack = stack
        self._containers = containers
        self._ensure = ensure

    async def cut(self, source: str, target: str) -> None:
        """Let nothing pass, and wait until that is in force."""
        await self._rule(self._link(source, target), drop=True)

    async def delay(self, source: str, target: str, delay_s: float) -> None:
        """Hold everything back by `delay_s` seconds, each way."""
        if not 0 <= delay_s < 3600:
            raise BadParameter(f"a delay of {delay_s} s does not fit: 0 to 3600 seconds")
        link = self._link(source, target)
        if not await self._netem(link, delay_s):
            await self._rule(link, delay_s=delay_s)

    async def mend(self, source: str, target: str) -> None:
        """Let everything pass again, whatever held it; starts the link if it does not run."""
        link = self._link(source, target)
        if await self._containers.state(link.service) is not MemberState.RUNNING:
            await self._ensure(link.service)  # it comes up with the rules of its start: everything passes
            return
        await self._netem(link, 0.0)
        await self._rule(link, drop=False, delay_s=0.0)

    async def is_cut(self, source: str, target: str) -> bool:
        """Whether the link runs and says itself that it drops everything."""
        link = self._link(source, target)
        if await self._containers.state(link.service) is not MemberState.RUNNING:
            return False
        return bool((await self._in_force(link)).get("drop"))

    async def delay_of(self, source: str, target: str) -> float:
        """The delay in force, in seconds each way."""
        link = self._link(source, target)
        if await self._containers.state(link.service) is not MemberState.RUNNING:
            return 0.0
        shown = await self._containers.beside(link.service, AGENT_IMAGE, "tc qdisc show dev eth0", capabilities=())
        if "netem" in shown.output:
            return _netem_delay(shown.output)
        told = (await self._in_force(link)).get("delay_s", 0.0)
        return float(told) if isinstance(told, (int, float)) else 0.0

    async def _rule(self, link: LinkService, **wanted: object) -> None:
        rules = {**await self._in_force(link), **wanted}
        rules.pop("pid", None)
        environment = {"RULES": json.dumps(rules) + "\n", "FILE": _file(link)}
        await self._containers.run(link.service, ["sh", "-c", _WRITE], environment)
        until = time.monotonic() + _APPLIED_WITHIN_S
        while {name: (now := await self._in_force(link)).get(name) for name in wanted} != wanted:
            if time.monotonic() > until:
                raise TimedOut(f"the link from {link.source} to {link.target} did not take its rules: {now}")
            await asyncio.sleep(0.02)

    async def _in_force(self, link: LinkService) -> dict[str, object]:
        ran = await self._containers.run(link.service, ["cat", _applied(link)])
        try:
            told = json.loads(ran.output)
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}

    async def _netem(self, link: LinkService, delay_s: float) -> bool:
        """Delay what leaves the link, which is each way once; False where the kernel has no netem."""
        deed = f"replace dev eth0 root netem delay {delay_s * 1000:g}ms" if delay_s else "del dev eth0 root"
        ran = await self._containers.beside(link.service, AGENT_IMAGE, f"tc qdisc {deed}", capabilities=("NET_ADMIN",))
        return ran.exit_code == 0

    def _link(self, source: str, target: str) -> LinkService:
        link = self._stack.link(source, target)
        if link is None:
            raise UnknownName("link", f"{source} to {target}", [f"{x.source} to {x.target}" for x in self._stack.links])
        return link


def _stem(link: LinkService) -> str:
    return f"{link.source}-{link.target}"


def _file(link: LinkService) -> str:
    return f"/lab/etc/links/{_stem(link)}.json"


def _applied(link: LinkService) -> str:
    return f"/lab/data/{_stem(link)}/applied.json"


def _netem_delay(shown: str) -> float:
    """The delay that `tc qdisc show` tells, in seconds."""
    words = shown.split()
    told = words[words.index("delay") + 1] if "delay" in words else "0s"
    for unit, factor in (("ms", 1e-3), ("us", 1e-6), ("s", 1.0)):
        if told.endswith(unit):
            return float(told.removesuffix(unit)) * factor
    return 0.0
