"""A client holds every connection that Redis has to give: whoever else wants one is refused."""

from __future__ import annotations

from collections.abc import Mapping

from redis.exceptions import ConnectionError as Refused

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import restart
from subjects.ratelimiter.faults.on_client import RogueClient
from subjects.ratelimiter.faults.on_redis import every_node
from subjects.ratelimiter.past_links import asking

_HELD = 60


class RedisMaxclients(RogueClient):
    name = "redis_maxclients"
    summary = f"a client that nobody asked for holds all {_HELD} connections that Redis may have"
    kind = FaultKind.RESOURCE_CONNECTIONS
    expected = ("redis_disconnected", "observer_blind")  # the observer is refused like the nodes

    def argv(self, port: int) -> tuple[str, ...]:
        """It connects, and sends nothing; it ends when Redis does, for then it reads the end of a connection."""
        connect = f"for ((i = 0; i < {_HELD}; i++)); do exec {{held}}<>/dev/tcp/127.0.0.1/{port} || exit; done"
        return ("bash", "-c", f"{connect}; read -r <&$held")

    def truth(self) -> GroundTruth:
        """Redis and the nodes are well; there is no connection left for them."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"maxclients of Redis is {_HELD}, and one process holds {_HELD} idle connections",
            causal_path=(
                f"a client that is no node holds {_HELD} connections, as many as Redis may have",
                "Redis refuses whoever connects (max number of clients reached)",
                "nodes that lost their connections get no new ones, and refuse requests with 503",
            ),
            spread=every_node(self.target),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Start the client, allow no more connections than it holds, and end those of the nodes."""
        await self.begin(deployment)
        async with asking(deployment) as redis:
            while int((await redis.info("clients"))["connected_clients"]) <= _HELD:
                continue  # each turn waits for an answer
            usual = str((await redis.config_get("maxclients"))["maxclients"])
            await redis.config_set("maxclients", _HELD)
            for client in await redis.client_list():
                if client["name"].startswith("node-"):
                    await redis.client_kill_filter(_id=client["id"])
        return {"maxclients": usual}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether Redis refuses one more, or who holds the others is there."""
        if await deployment.state(self.target) is not MemberState.RUNNING:
            return await self.runs(deployment)
        try:
            async with asking(deployment) as redis:
                await redis.ping()
        except Refused:
            return True
        return await self.runs(deployment)

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """End the client, and allow as many as before."""
        await self.end(deployment)
        if not memo or await deployment.state(self.target) is MemberState.STOPPED:
            return
        async with asking(deployment) as redis:
            await redis.config_set("maxclients", str(memo["maxclients"]))

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Find it by who is connected to Redis' port (`ss -tnp`), and end it; start Redis as it is configured."""
        return (self.ending(deployment), restart(deployment, self.target))
