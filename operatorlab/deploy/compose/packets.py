"""Packets lost on purpose: filter rules in the network of one container, put there from beside it.

The rules live in the container's own network namespace, never in this machine's. So they end when the
container is started anew, and nobody inside it can see or change them: it holds no such capability.
"""

from __future__ import annotations

import shlex
from ipaddress import IPv4Address

from operatorlab.deploy.compose.containers import Containers, Ran
from operatorlab.deploy.compose.stack import AGENT_IMAGE, LAB, Stack
from operatorlab.errors import BadParameter, DockerTrouble
from operatorlab.subject import MemberState


class Packets:
    """Loss between members of one lab. A path that has a link is broken in the link's network."""

    def __init__(self, stack: Stack, containers: Containers, project: str) -> None:
        self._stack = stack
        self._containers = containers
        self._project = project

    async def drop(self, source: str, target: str, *, one_way: bool = False, share: float = 1.0) -> None:
        """Lose a `share` (0 to 1) of what passes between two members; `one_way` loses only what comes back."""
        if not 0 < share <= 1:
            raise BadParameter(f"a share of {share} packets does not fit: more than 0, at most 1")
        address = await self._address(target)
        odds = [] if share == 1 else ["-m", "statistic", "--mode", "random", "--probability", f"{share:g}"]
        sides = [["INPUT", "-s", str(address)]] + ([] if one_way else [["OUTPUT", "-d", str(address)]])
        rules = [["iptables", "-w", "-A", *side, *odds, *_mark(target), "-j", "DROP"] for side in sides]
        ran = await self._beside(source, target, " && ".join(map(shlex.join, rules)))
        if ran.exit_code != 0:
            where = self._where(source, target)
            raise DockerTrouble(f"no packets can be dropped at {where}: {ran.output.strip()[-500:]}")

    async def dropping(self, source: str, target: str) -> bool:
        """Whether packets between two members are lost right now: a rule for an address that is no more loses none."""
        if await self._containers.state(self._where(source, target)) is MemberState.STOPPED:
            return False
        address = await self._lookup(target)
        if address is None:
            return False
        mark = shlex.quote(_mark(target)[-1])
        ran = await self._beside(source, target, f"iptables -w -S | grep -F -- {mark} | grep -F ' {address}/'")
        return ran.exit_code == 0

    async def deliver(self, source: str, target: str) -> None:
        """Lose nothing more between two members; where nothing is lost that is no trouble."""
        if await self._containers.state(self._where(source, target)) is MemberState.STOPPED:
            return  # it has no network, and gets a new one when it starts
        mark = shlex.quote(_mark(target)[-1])
        script = (
            f"iptables -w -S | grep -F -- {mark} | sed 's/^-A/-D/' | while read -r rule; do iptables -w $rule; done"
        )
        await self._beside(source, target, script)

    def _where(self, source: str, target: str) -> str:
        link = self._stack.link(source, target)
        return link.service if link else source

    async def _beside(self, source: str, target: str, script: str) -> Ran:
        where = self._where(source, target)
        return await self._containers.beside(where, AGENT_IMAGE, script, capabilities=("NET_ADMIN", "NET_RAW"))

    async def _address(self, member: str) -> IPv4Address:
        address = await self._lookup(member)
        if address is None:
            raise DockerTrouble(f"{member} has no address in the lab's network", cause="it does not run")
        return address

    async def _lookup(self, member: str) -> IPv4Address | None:
        found = await self._containers.inspect(member)
        networks = found["NetworkSettings"]["Networks"] if found else {}
        told = networks.get(f"{self._project}_{LAB}", {}).get("IPAddress")
        return IPv4Address(told) if told else None


def _mark(target: str) -> list[str]:
    """What makes a rule ours."""
    return ["-m", "comment", "--comment", f"path-to-{target}"]
