"""Redis may use less memory than it does, and may throw nothing away: it answers, and takes no writes."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import redis_cli
from subjects.ratelimiter.faults.on_redis import SettingsFault, every_node
from subjects.ratelimiter.past_links import asking

_BYTES = 100_000
"""Below what an empty Redis uses, which is about 800,000."""
_WRONG = {"maxmemory-policy": "noeviction", "maxmemory": str(_BYTES)}


class RedisMaxmemory(SettingsFault):
    name = "redis_maxmemory"
    summary = "the memory limit of Redis is set below what it uses, and it evicts nothing"
    kind = FaultKind.RESOURCE_MEMORY
    expected = ("redis_disconnected",)
    settings = tuple(_WRONG)

    def truth(self) -> GroundTruth:
        """Redis lives; a setting at run time forbids it to grow."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"maxmemory of Redis was set to {_BYTES} bytes with the policy noeviction: less than it uses",
            causal_path=(
                "maxmemory of Redis was lowered below what it uses",
                "Redis refuses every write that needs memory (OOM)",
                "no node can count, and every node refuses requests with 503",
            ),
            spread=every_node(self.target),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Lower the limit; the memo keeps what was set."""
        async with asking(deployment) as redis:
            usual = await self.usual(redis)
            for setting, value in _WRONG.items():
                await redis.config_set(setting, value)
        return dict(usual)

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether it uses more than it may. One that was restarted is set as its configuration file says."""
        if await deployment.state(self.target) is not MemberState.RUNNING:
            return False
        async with asking(deployment) as redis:
            memory = await redis.info("memory")
        return 0 < int(memory["maxmemory"]) < int(memory["used_memory"])

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Lift the limit, as the configuration has it."""
        return (redis_cli(deployment, "CONFIG", "SET", "maxmemory", "0"),)
