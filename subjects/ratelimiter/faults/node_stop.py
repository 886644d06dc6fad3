"""A node is asked to end, in good order, and nothing starts it again."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.on_member import MemberFault


class NodeStop(MemberFault):
    name = "node_stop"
    summary = "a node is stopped in good order, and left so"
    kind = FaultKind.CRASH
    expected = ("node_down",)

    def truth(self) -> GroundTruth:
        """It is not running, by somebody's hand."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{self.target} was stopped (SIGTERM) and is not running",
            causal_path=(
                f"{self.target} was stopped",
                f"nothing listens on the port of {self.target}",
                f"clients of {self.target} are refused",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Stop it."""
        await deployment.stop(self.target)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether it does not run."""
        return await deployment.state(self.target) is MemberState.STOPPED

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Start it, if it does not run."""
        await self.set_running(deployment)
