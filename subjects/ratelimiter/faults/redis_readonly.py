"""Redis is made the replica of a primary that is not there: it answers, and takes no writes."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import redis_cli
from subjects.ratelimiter.faults.on_redis import RedisFault, every_node
from subjects.ratelimiter.past_links import asking

_ABSENT = ("127.0.0.1", 1)


class RedisReadonly(RedisFault):
    name = "redis_readonly"
    summary = "Redis is made the replica of a primary that does not exist"
    kind = FaultKind.MISCONFIGURATION
    expected = ("redis_disconnected",)

    def truth(self) -> GroundTruth:
        """Redis lives, in the wrong role."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism="REPLICAOF made Redis a replica, which takes no writes, of a primary that does not exist",
            causal_path=(
                "Redis was told to replicate a primary that does not exist",
                "Redis refuses every write (READONLY)",
                "no node can count, and every node refuses requests with 503",
            ),
            spread=every_node(self.target),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Point it at a port where nobody listens."""
        async with asking(deployment) as redis:
            await redis.replicaof(*_ABSENT)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether it is a replica. One that was restarted is what its configuration file says."""
        if await deployment.state(self.target) is not MemberState.RUNNING:
            return False
        async with asking(deployment) as redis:
            return bool((await redis.info("replication"))["role"] == "slave")

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Make it a primary; it keeps what it holds."""
        if await deployment.state(self.target) is MemberState.STOPPED:
            return
        async with asking(deployment) as redis:
            await redis.replicaof("NO", "ONE")

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Make it a primary."""
        return (redis_cli(deployment, "REPLICAOF", "NO", "ONE"),)
