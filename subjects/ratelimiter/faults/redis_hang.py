"""Redis is frozen: it keeps its port, its connections and its counters, and answers nothing."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import thaw
from subjects.ratelimiter.faults.on_redis import RedisFault, every_node


class RedisHang(RedisFault):
    name = "redis_hang"
    summary = "SIGSTOP of the Redis that all nodes count in: its port is open, nothing answers"
    kind = FaultKind.HANG
    expected = ("redis_disconnected",)

    def truth(self) -> GroundTruth:
        """The process exists, stopped by a signal; the nodes live and say why they cannot work."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism="the process of Redis is stopped by a signal (SIGSTOP): it exists and does not run",
            causal_path=(
                "Redis was stopped by SIGSTOP",
                "the kernel accepts connections for Redis, which never answers",
                "calls of every node to Redis time out",
                "every node refuses requests with 503, as its policy on the loss of Redis says",
            ),
            spread=every_node(self.target),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Freeze it."""
        await deployment.pause(self.target)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the process is frozen; one that was restarted is not."""
        return await deployment.state(self.target) is MemberState.PAUSED

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Let it run on, or start it if somebody ended it meanwhile."""
        await self.set_running(deployment)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Let it run on."""
        return (thaw(deployment, self.target),)
