"""What faults by the clients of a node have in common: the node is narrow, and a process elsewhere plays the clients.

Narrow: it may have few calls to Redis under way, and each takes a while. What is short are connections and not the
processor, so it does not depend on how fast the machine is. A call waits for a connection, and has 0.25 s in all. As
long as fewer calls wait than are served in that time, they are late; once there are more, the call whose turn it is has
nearly none left: it is cut off, its connection is lost, and the next one has to wait for a new one as well. So nearly
nobody is served as long as so many ask, and whoever was not served asks again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from operatorlab.subject import PROCESSES, Deployment, Json, MemberState
from subjects.ratelimiter.faults.fixing import in_container, open_link
from subjects.ratelimiter.faults.on_configuration import ConfigurationFault
from subjects.ratelimiter.faults.on_process import StrayProcess
from subjects.ratelimiter.members import NODES, REDIS

CONNECTIONS = 4
"""Of a node that a crowd brings down: they serve 100 calls a second; if each call needs a new one first, 50."""
_DELAY_S = 0.02
"""Each way."""
PATH = f"{_DELAY_S * 1000:g} ms"
_PROGRAM = Path(__file__).parents[1] / "workload" / "insistent.py"
_WRITE = 'mkdir -p "${1%/*}" && printf %s "$2" >"$1"'


class CrowdedNode(StrayProcess, ConfigurationFault):
    """A narrow node, and its clients."""

    found_within_s = 15.0  # the node is started anew, and clients come one after the other
    clients: ClassVar[int]
    every_s: ClassVar[float]
    asking: ClassVar[tuple[str, ...]] = ()  # what else the clients are told

    @property
    def narrow(self) -> str:
        """The node, in words."""
        few = self.wrong["redis_connections"]
        return f"{self.target} has {few} connections to Redis (redis_connections), {PATH} away each way"

    @property
    def beside(self) -> str:
        """A node that they do not ask: in its container they outlive whatever becomes of the others."""
        return next(node for node in NODES if node not in self.asked())

    def program(self, deployment: Deployment) -> str:
        """The clients' program, in the lab's folder or in a container, where only /tmp can be written."""
        return f"data/{self.target}/clients.py" if deployment.kind == PROCESSES else f"/tmp/of-{self.target}.py"  # noqa: S108

    def asked(self) -> tuple[str, ...]:
        """The nodes that a client asks, each if those before it fail."""
        return (self.target,)

    def line(self, deployment: Deployment) -> tuple[str, ...]:
        """The clients, as one process."""
        nodes = ("{}:{}".format(*deployment.inside(node)) for node in self.asked())
        options = ("--clients", str(self.clients), "--every", f"{self.every_s:g}", *self.asking)
        python = sys.executable if deployment.kind == PROCESSES else "python3"
        return (python, self.program(deployment), *nodes, *options)

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Narrow the node and its path, then let the clients come."""
        memo = await super().inject(deployment)
        await deployment.delay(self.target, REDIS, _DELAY_S)
        await deployment.run(self.beside, "sh", "-c", _WRITE, "sh", self.program(deployment), _PROGRAM.read_text())
        await self.begin(deployment)
        return memo

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether an overload stays, or would: that takes the clients, the long path and the few connections."""
        far = await deployment.delay_of(self.target, REDIS) >= _DELAY_S
        return far and await self.runs(deployment) and await super().active(deployment, memo)

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Send the clients away, then make the path short and the node wide again."""
        await self.end(deployment)
        # What lay in a container that does not run went with it.
        if deployment.kind == PROCESSES or await deployment.state(self.beside) is MemberState.RUNNING:
            await deployment.run(self.beside, "rm", "-f", self.program(deployment))
        await deployment.mend(self.target, REDIS)
        await super().heal(deployment, memo)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """The same: without its clients, the node is well at once."""
        program = self.program(deployment)
        gone = f"rm {program}" if deployment.kind == PROCESSES else in_container(self.beside, "rm", program)
        return (f"{self.ending(deployment)} && {gone}", open_link(deployment, self.target), *super().fix(deployment))


class NarrowNode(CrowdedNode):
    """A node so narrow that a crowd brings it down."""

    expected = ("redis_disconnected",)
    also = ("node_down", "high_latency")  # while it is started anew; when the machine is busy, it is nearly too slow
    wrong = MappingProxyType({"redis_connections": CONNECTIONS})


class InsistentCrowd(NarrowNode):
    """Clients that take no failure for an answer: the node has room enough for them, until it once fails."""

    latent = True
