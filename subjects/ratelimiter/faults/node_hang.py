"""A node is frozen: it keeps its port and its connections and answers nothing."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import thaw
from subjects.ratelimiter.faults.on_member import MemberFault


class NodeHang(MemberFault):
    name = "node_hang"
    summary = "SIGSTOP of a node: its port is open, nothing answers"
    kind = FaultKind.HANG
    expected = ("node_down",)

    def truth(self) -> GroundTruth:
        """The process exists, stopped by a signal; Redis and the other nodes are well."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"the process of {self.target} is stopped by a signal (SIGSTOP): it exists and does not run",
            causal_path=(
                f"{self.target} was stopped by SIGSTOP",
                f"the kernel accepts connections for {self.target}, which never answers",
                f"clients of {self.target} run into their time-outs",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Freeze it."""
        await deployment.pause(self.target)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the process is frozen; one that was restarted is not."""
        return await deployment.state(self.target) is MemberState.PAUSED

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Let it run on, or start it if somebody ended it meanwhile."""
        await self.set_running(deployment)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Let it run on."""
        return (thaw(deployment, self.target),)
