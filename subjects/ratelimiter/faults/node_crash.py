"""A node is killed and nothing starts it again."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import start
from subjects.ratelimiter.faults.on_member import MemberFault


class NodeCrash(MemberFault):
    name = "node_crash"
    summary = "SIGKILL of a node that nothing restarts"
    kind = FaultKind.CRASH
    expected = ("node_down",)

    def truth(self) -> GroundTruth:
        """The process is gone; Redis and the other nodes are well."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"the process of {self.target} was killed (SIGKILL) and is not running",
            causal_path=(
                f"{self.target} was killed",
                f"nothing listens on the port of {self.target}",
                f"clients of {self.target} are refused",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Kill it."""
        await deployment.kill(self.target)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the process is missing."""
        return await deployment.state(self.target) is MemberState.STOPPED

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Start it, if it does not run."""
        await self.set_running(deployment)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Start it."""
        return (start(deployment, self.target),)
