"""Redis may use no more memory than it does, and throws keys away by chance to make room: counters vanish."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from statistics import median_low

from redis.asyncio import Redis

from operatorlab.subject import PROCESSES, Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import redis_cli
from subjects.ratelimiter.faults.on_redis import SettingsFault
from subjects.ratelimiter.past_links import asking

_POLICY = "allkeys-random"
_LESS = 10_000
"""Bytes below what it uses, as a rule: it always has to make room, and as a rule it can."""
_LOOKS, _APART_S = 25, 0.01
_TRIES = 4
_SEEN = 5
"""In so many of the looks keys must have gone, or the limit is too high: a moment's peak makes some go at once."""


class RedisEvicting(SettingsFault):
    name = "redis_evicting"
    summary = "the memory limit of Redis is set to what it uses, and it evicts keys by chance (allkeys-random)"
    kind = FaultKind.MISCONFIGURATION
    deployments = (PROCESSES,)  # Redis 7.0, which containers have, evicts by fits and starts: nothing shows for seconds
    expected = ("counter_drift", "ghost_allowing/canary")
    settings = ("maxmemory-policy", "maxmemory")
    # Windows vanish; a total that is soon as high as it was looks like a node that miscounts; some room cannot be made.
    also = ("ghost_allowing", "counter_drift", "redis_disconnected")

    def truth(self) -> GroundTruth:
        """Redis lives, takes writes, and forgets."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"maxmemory of Redis was set to what it uses, with the policy {_POLICY}: it evicts any key",
            causal_path=(
                f"maxmemory was lowered and maxmemory-policy set to {_POLICY}",
                "for nearly every write Redis throws keys away, totals and windows among them",
                "totals shrink without a restart, and keys are allowed more than was declared",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Set policy and limit; the memo keeps what was set."""
        async with asking(deployment) as redis:
            usual = await self.usual(redis)
            used = median_low([await _used(redis) for _ in range(_LOOKS)])
            await redis.config_set("maxmemory-policy", _POLICY)
            for less in range(1, _TRIES + 1):
                if await _evicts(redis, used - less * _LESS):
                    break
        return dict(usual)

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether it has a limit and evicts whatever there is. One that was restarted is as its file says."""
        if await deployment.state(self.target) is not MemberState.RUNNING:
            return False
        async with asking(deployment) as redis:
            memory = await redis.info("memory")
        return int(memory["maxmemory"]) > 0 and memory["maxmemory_policy"] == _POLICY

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Lift the limit, and evict nothing, as the configuration has it."""
        policy = redis_cli(deployment, "CONFIG", "SET", "maxmemory-policy", "noeviction")
        return (policy, redis_cli(deployment, "CONFIG", "SET", "maxmemory", "0"))


async def _evicts(redis: Redis, limit: int) -> bool:
    """Set the limit; whether it throws keys away for it. What it uses may be less by now, and stay so for seconds."""
    await redis.config_set("maxmemory", limit)
    seen, gone = 0, await _evicted(redis)
    for _ in range(_LOOKS):
        await asyncio.sleep(_APART_S)
        before, gone = gone, await _evicted(redis)
        seen += gone > before
        if seen == _SEEN:
            return True
    return False


async def _evicted(redis: Redis) -> int:
    return int((await redis.info("stats"))["evicted_keys"])


async def _used(redis: Redis) -> int:
    """What it uses a moment later, in bytes; requests in flight make it swing by a third."""
    await asyncio.sleep(_APART_S)
    return int((await redis.info("memory"))["used_memory"])
