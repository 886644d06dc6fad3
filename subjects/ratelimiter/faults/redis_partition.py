"""Nothing passes between one node and Redis any more; both live, and so does every other path."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json
from subjects.ratelimiter.faults.fixing import open_link
from subjects.ratelimiter.faults.on_member import MemberFault
from subjects.ratelimiter.members import REDIS


class RedisPartition(MemberFault):
    name = "redis_partition"
    summary = "packets between one node and Redis are dropped, both ways"
    kind = FaultKind.PARTITION
    expected = ("redis_disconnected",)

    def truth(self) -> GroundTruth:
        """The path of one node is cut; Redis serves the others."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"the network path between {self.target} and Redis drops everything",
            causal_path=(
                f"the path from {self.target} to Redis was cut",
                f"calls of {self.target} to Redis time out",
                f"{self.target} refuses requests with 503, as its policy on the loss of Redis says",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Cut the path."""
        await deployment.cut(self.target, REDIS)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the path is cut."""
        return await deployment.is_cut(self.target, REDIS)

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Mend the path; a path that is whole stays so."""
        await deployment.mend(self.target, REDIS)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Set the rule of the link back."""
        return (open_link(deployment, self.target),)
