"""A node is taken off the network; it lives, and nobody can reach it."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json
from subjects.ratelimiter.faults.fixing import container
from subjects.ratelimiter.faults.on_container import ContainerFault, containers


class NodeDisconnected(ContainerFault):
    name = "node_disconnected"
    summary = "a node's container is disconnected from the lab's network"
    kind = FaultKind.PARTITION
    expected = ("node_down",)

    def truth(self) -> GroundTruth:
        """It runs on a network of nobody."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"the container of {self.target} runs, and is on no network",
            causal_path=(
                f"{self.target} was disconnected from the network",
                "its name leads nowhere, and it reaches nobody",
                f"clients of {self.target} get no answer",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Disconnect it."""
        await containers(deployment).disconnect(self.target)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether it is off the network."""
        return not await containers(deployment).connected(self.target)

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Connect it under its name, and have it run."""
        await containers(deployment).connect(self.target)
        await self.set_running(deployment)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Put it back on the network that the others are on, under its name."""
        network = f"{deployment.run_id}_lab"
        return (f"docker network connect --alias {self.target} {network} {container(self.target)}",)
