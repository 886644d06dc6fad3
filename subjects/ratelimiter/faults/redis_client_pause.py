"""A client has paused every write to Redis for a day: reads are answered, writes wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import redis_cli
from subjects.ratelimiter.faults.on_redis import RedisFault, every_node
from subjects.ratelimiter.past_links import asking

_FOR_MS = 24 * 3600 * 1000
_SOON_S = 0.3


class RedisClientPause(RedisFault):
    name = "redis_client_pause"
    summary = "a client paused all writes to Redis for a day (CLIENT PAUSE)"
    kind = FaultKind.ROGUE_CLIENT
    expected = ("redis_disconnected",)

    def truth(self) -> GroundTruth:
        """Redis lives and answers reads; whoever writes waits."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism="a client sent CLIENT PAUSE with WRITE: Redis holds back whatever may write",
            causal_path=(
                "a client paused all writes to Redis",
                "Redis accepts what nodes send and does not answer it",
                "no node can count within its time-out, and every node refuses requests with 503",
            ),
            spread=every_node(self.target),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Pause writes."""
        async with asking(deployment) as redis:
            await redis.client_pause(_FOR_MS, all=False)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether it answers a read, and holds back what counts as a write and changes nothing."""
        if await deployment.state(self.target) is not MemberState.RUNNING:
            return False
        async with asking(deployment) as redis:
            await redis.ping()
            try:
                async with asyncio.timeout(_SOON_S):
                    await redis.publish("nobody-listens", "")
            except TimeoutError:
                return True
        return False

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Let writes through again."""
        if await deployment.state(self.target) is MemberState.STOPPED:
            return
        async with asking(deployment) as redis:
            await redis.client_unpause()

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Let writes through again."""
        return (redis_cli(deployment, "CLIENT", "UNPAUSE"),)
