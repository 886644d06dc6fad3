"""Redis wants a password that nobody told the nodes."""

from __future__ import annotations

from collections.abc import Mapping

from redis.exceptions import AuthenticationError

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import restart
from subjects.ratelimiter.faults.on_redis import RedisFault, every_node
from subjects.ratelimiter.past_links import asking

_PASSWORD = "rotated"  # noqa: S105 - of a lab that ends with the trial; that nobody knows it is the fault


class RedisPassword(RedisFault):
    name = "redis_password"
    summary = "Redis is given a password that the nodes do not know"
    kind = FaultKind.CREDENTIALS
    expected = ("redis_disconnected", "observer_blind")  # the observer does not know it either

    def truth(self) -> GroundTruth:
        """Redis lives and lets nobody in."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism="requirepass was set in Redis at run time, and no node knows the password",
            causal_path=(
                "a password was set in Redis",
                "Redis refuses whoever connects without it (NOAUTH)",
                "no node can count, and every node refuses requests with 503",
            ),
            spread=every_node(self.target),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Set it, and end the connections that were let in before."""
        async with asking(deployment) as redis:
            await redis.config_set("requirepass", _PASSWORD)
            await redis.client_kill_filter(_type="normal", skipme=True)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether it refuses who has no password. One that was restarted is set as its configuration file says."""
        if await deployment.state(self.target) is not MemberState.RUNNING:
            return False
        try:
            async with asking(deployment) as redis:
                await redis.ping()
        except AuthenticationError:
            return True
        return False

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Ask for no password any more."""
        if await deployment.state(self.target) is MemberState.STOPPED or not await self.active(deployment, memo):
            return
        async with asking(deployment, _PASSWORD) as redis:
            await redis.config_set("requirepass", "")

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Nobody knows the password: start Redis as its configuration says. That counters are lost is agreed."""
        return (restart(deployment, self.target),)
