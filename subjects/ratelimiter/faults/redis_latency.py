"""Everything between one node and Redis takes longer."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json
from subjects.ratelimiter.faults.fixing import open_link
from subjects.ratelimiter.faults.on_member import MemberFault
from subjects.ratelimiter.members import REDIS

_DELAY_S = 0.055
"""Each way. A node waits 0.25 s for Redis, and connecting takes several round trips: this is slow and not yet lost."""


class RedisLatency(MemberFault):
    name = "redis_latency"
    summary = "everything between a node and Redis is delayed by 55 ms, each way"
    kind = FaultKind.SLOW
    expected = ("high_latency",)

    def truth(self) -> GroundTruth:
        """The path of one node is slow; Redis serves the others as ever."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"the path between {self.target} and Redis delays everything by {_DELAY_S * 1000:g} ms each way",
            causal_path=(
                f"the path from {self.target} to Redis was slowed",
                f"each call of {self.target} to Redis takes longer",
                f"{self.target} answers its clients late",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Slow the path."""
        await deployment.delay(self.target, REDIS, _DELAY_S)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the path is slow."""
        return await deployment.delay_of(self.target, REDIS) > 0

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Mend the path; a path that is whole stays so."""
        await deployment.mend(self.target, REDIS)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Set the rule of the link back."""
        return (open_link(deployment, self.target),)
