"""A node is started with a setting that its owners never wrote: it lives, and does something else than the others."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import redis_cli
from subjects.ratelimiter.faults.on_configuration import ConfigurationFault
from subjects.ratelimiter.past_links import asking

_DB = 1


class _WrongSetting(ConfigurationFault):
    """One of its settings is wrong. `effect` tells what it does because of that."""

    effect: ClassVar[tuple[str, ...]]

    def truth(self) -> GroundTruth:
        """The node does as it was told; Redis and the others are well."""
        said = ", ".join(f"{name}: {value}" for name, value in self.wrong.items())
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{self.target} was started with {said}, as {self.told_by} says",
            causal_path=(f"{self.told_by} says {said}", f"{self.target} was started with it", *self.effect),
        )


class MetricsDead(_WrongSetting):
    name = "metrics_dead"
    summary = "a node is started without /metrics; it serves its clients as ever"
    kind = FaultKind.OBSERVABILITY
    expected = ("observer_blind",)
    wrong = MappingProxyType({"metrics": False})
    right = MappingProxyType({"metrics": True})
    effect = ("/metrics of it answers 404", "nobody sees what it counts; its clients notice nothing")


class NodeWrongRedis(_WrongSetting):
    name = "node_wrong_redis"
    summary = "a node counts in another database of Redis than the others"
    kind = FaultKind.MISCONFIGURATION
    expected = ("counter_drift",)
    also = ("node_down", "ghost_allowing")  # what is counted twice is allowed twice
    forgetful = True
    wrong = MappingProxyType({"redis_db": _DB})
    effect = ("it counts where nobody else does", "each key is allowed its limit there and once more by the others")

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Have it count where all do, and remove what it counted elsewhere."""
        await super().heal(deployment, memo)
        if memo and await deployment.state("redis") is MemberState.RUNNING:
            async with asking(deployment, db=_DB) as redis:
                await redis.flushdb()

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """The same."""
        return (*super().fix(deployment), redis_cli(deployment, "-n", str(_DB), "FLUSHDB"))


class NodeClockSkew(_WrongSetting):
    name = "node_clock_skew"
    summary = "a node counts by its own clock, which is three seconds fast, and not by that of Redis"
    kind = FaultKind.CLOCK_SKEW
    expected = ("over_blocking/canary",)
    also = ("node_down", "ghost_allowing", "over_blocking")
    wrong = MappingProxyType({"clock": "node", "clock_offset_s": 3.0})
    effect = (
        "what the others allowed is older than a window to it, and it removes that from Redis",
        "what it allows itself counts against the others for three seconds too long: they turn clients away",
    )


class NodeLocalCache(_WrongSetting):
    name = "node_local_cache"
    summary = "a node gives each decision again for ten seconds, from a cache of its own"
    kind = FaultKind.BAD_ROLLOUT
    expected = ("counter_drift", "ghost_allowing/canary")
    also = ("node_down", "ghost_allowing")
    forgetful = True
    wrong = MappingProxyType({"cache_s": 10.0})
    effect = ("it allows again what it allowed before, without asking Redis", "it allows more than Redis counts for it")
