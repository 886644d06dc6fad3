"""Redis is killed and nothing starts it again; every node loses its counters at once."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import start
from subjects.ratelimiter.faults.on_member import MemberFault
from subjects.ratelimiter.faults.on_redis import every_node


class RedisCrash(MemberFault):
    name = "redis_crash"
    summary = "SIGKILL of the Redis that all nodes count in"
    kind = FaultKind.DEPENDENCY_DOWN
    expected = ("redis_disconnected",)
    role = "redis"

    def truth(self) -> GroundTruth:
        """Redis is gone; the nodes live and say why they cannot work."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism="the process of Redis was killed (SIGKILL) and is not running",
            causal_path=(
                "Redis was killed",
                "no node can count",
                "every node refuses requests with 503, as its policy on the loss of Redis says",
            ),
            spread=every_node(self.target),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Kill it."""
        await deployment.kill(self.target)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the process is missing."""
        return await deployment.state(self.target) is MemberState.STOPPED

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Start it, if it does not run. Its counters and limits are lost, as after any crash."""
        await self.set_running(deployment)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Start it."""
        return (start(deployment, self.target),)
