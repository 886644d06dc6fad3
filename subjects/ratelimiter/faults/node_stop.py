"""A node is asked to end, in good order, and nothing starts it again: a crash by another hand."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, GroundTruth, Json
from subjects.ratelimiter.faults.node_crash import NodeCrash


class NodeStop(NodeCrash):
    name = "node_stop"
    summary = "a node is stopped in good order, and left so"

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
