"""Packets between one node and Redis are lost: what comes back, or some of everything, or all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json
from subjects.ratelimiter.faults.fixing import restart
from subjects.ratelimiter.faults.on_container import ContainerFault, containers
from subjects.ratelimiter.members import REDIS


class _Packets(ContainerFault):
    """Packets are lost between a node and Redis, in the network of the node's link."""

    one_way: ClassVar[bool] = False
    share: ClassVar[float] = 1.0
    lost: ClassVar[str]

    def truth(self) -> GroundTruth:
        """The network of one path is bad; both ends are well."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"on the path between {self.target} and Redis {self.lost}",
            causal_path=(
                f"on the path between {self.target} and Redis {self.lost}",
                f"calls of {self.target} to Redis are late, or time out",
                f"{self.target} answers late, or refuses with 503",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Lose packets."""
        await containers(deployment).drop(self.target, REDIS, one_way=self.one_way, share=self.share)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether packets are being lost."""
        return await containers(deployment).dropping(self.target, REDIS)

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Lose no more."""
        await containers(deployment).deliver(self.target, REDIS)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Start the link anew: no rule of it says what is lost, and a new start gets it a network as new."""
        return (restart(deployment, f"link-{self.target}"),)


class RedisDropped(_Packets):
    name = "redis_dropped"
    summary = "the kernel drops every packet between a node and Redis, both ways; no rule of the link says so"
    kind = FaultKind.PARTITION
    expected = ("redis_disconnected",)
    lost = "every packet is dropped"


class RedisOneWay(_Packets):
    name = "redis_one_way"
    summary = "what a node sends reaches Redis, and every reply is dropped"
    kind = FaultKind.PARTITION
    expected = ("redis_disconnected",)
    one_way = True
    lost = "every reply is dropped"


class RedisLoss(_Packets):
    name = "redis_loss"
    summary = "three packets in ten between a node and Redis are lost"
    kind = FaultKind.PACKET_LOSS
    expected = ("high_latency", "redis_disconnected")
    found_within_s = 15.0  # chance decides which packets are lost, and most calls get through
    share = 0.3
    lost = "three packets in ten are lost"
