"""A node lets everything through when it has lost Redis, and has lost it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json
from subjects.ratelimiter.faults.fixing import open_link
from subjects.ratelimiter.faults.on_configuration import ConfigurationFault
from subjects.ratelimiter.members import REDIS


class NodeFailOpen(ConfigurationFault):
    name = "node_fail_open"
    summary = "a node is started so that it allows everything without Redis, and its path to Redis is cut"
    kind = FaultKind.MISCONFIGURATION
    expected = ("ghost_allowing/canary", "redis_disconnected")
    also = ("node_down", "ghost_allowing")
    forgetful = True
    wrong = MappingProxyType({"on_redis_error": "allow"})
    right = MappingProxyType({"on_redis_error": "deny"})

    def truth(self) -> GroundTruth:
        """Its policy is not the one that was agreed, and now it counts."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{self.target} was started with on_redis_error: allow, and its path to Redis drops everything",
            causal_path=(
                f"{self.told_by} says on_redis_error: allow, where deny was agreed",
                f"the path from {self.target} to Redis was cut",
                f"{self.target} allows every request, and counts none of them in Redis",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Start the node with the other policy, then cut its path."""
        memo = await super().inject(deployment)
        await deployment.cut(self.target, REDIS)
        return memo

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether either is left: the policy waits for the next loss of Redis."""
        return await deployment.is_cut(self.target, REDIS) or await super().active(deployment, memo)

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Mend the path, and start the node with the policy that was agreed."""
        await deployment.mend(self.target, REDIS)
        await super().heal(deployment, memo)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """The same."""
        return (open_link(deployment, self.target), *super().fix(deployment))
