"""A node that has room for what it is asked, and clients that keep it overloaded for ever once it was not answering.

A call waits for one of few connections to Redis, and has 0.25 s in all. Once more calls wait than are served in that
time, the call whose turn it is has nearly none left: it is cut off, its connection is lost, and the next one has to
wait for a new one as well. So nearly nobody is served as long as so many ask, and whoever was not served asks again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json
from subjects.ratelimiter.faults.fixing import open_link
from subjects.ratelimiter.faults.on_configuration import ConfigurationFault
from subjects.ratelimiter.faults.on_process import StrayProcess

_REDIS = "redis"
_CONNECTIONS = 4
_DELAY_S = 0.02
"""Each way. Four connections serve 100 calls a second; if each call needs a new one first, 50."""
_CLIENTS = 96
_EVERY_S = 6.0
"""They ask 16 times a second together while they are answered, and up to 384 times while they are not."""
_PROGRAM = Path(__file__).parents[1] / "workload" / "insistent.py"
_WRITE = 'mkdir -p "${1%/*}" && printf %s "$2" >"$1"'


class InsistentClients(StrayProcess, ConfigurationFault):
    name = "insistent_clients"
    summary = (
        f"a node with {_CONNECTIONS} connections to Redis, {_DELAY_S * 1000:g} ms away, gets {_CLIENTS} clients that "
        "ask again at once when they fail"
    )
    kind = FaultKind.RETRY_STORM
    latent = True
    expected = ("redis_disconnected",)
    wrong = MappingProxyType({"redis_connections": _CONNECTIONS})

    @property
    def program(self) -> str:
        """The clients' program, in the lab's folder."""
        return f"data/{self.target}/clients.py"

    def line(self, deployment: Deployment) -> tuple[str, ...]:
        """The clients, as one process."""
        host, port = deployment.inside(self.target)
        options = ("--clients", str(_CLIENTS), "--every", f"{_EVERY_S:g}")
        return (sys.executable, self.program, f"{host}:{port}", *options)

    def truth(self) -> GroundTruth:
        """What keeps it overloaded is what the overload makes clients do."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=(
                f"{_CLIENTS} clients of {self.target} try again at once and without end, and {self.target} has only "
                f"{_CONNECTIONS} connections (redis_connections) on a path that takes {_DELAY_S * 1000:g} ms each way"
            ),
            causal_path=(
                f"{self.target} could not serve its clients for a moment",
                "each of them asks again at once, so that more calls wait than can be served in time",
                f"calls to Redis have run out of time when their turn comes, and {self.target} serves nearly nobody",
                "whoever was not served asks again: the overload stays although what began it is over",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Narrow the node and its path, then let the clients come."""
        memo = await super().inject(deployment)
        await deployment.delay(self.target, _REDIS, _DELAY_S)
        await deployment.run(self.target, "sh", "-c", _WRITE, "sh", self.program, _PROGRAM.read_text())
        await self.begin(deployment)
        return memo

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether an overload would stay: that takes the clients, the long path and the few connections."""
        far = await deployment.delay_of(self.target, _REDIS) >= _DELAY_S
        return far and await self.runs(deployment) and await super().active(deployment, memo)

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Send the clients away, then make the path short and the node wide again."""
        await self.end(deployment)
        await deployment.run(self.target, "rm", "-f", self.program)
        await deployment.mend(self.target, _REDIS)
        await super().heal(deployment, memo)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """The same: without its clients, the node is well at once."""
        away = f"{self.ending(deployment)} && rm {self.program}"
        return (away, open_link(deployment, self.target), *super().fix(deployment))
