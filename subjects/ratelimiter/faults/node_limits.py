"""A node gets less than it needs: of the processor, so that it is slow; of memory, so that it cannot live."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json
from subjects.ratelimiter.faults.fixing import container, start
from subjects.ratelimiter.faults.on_container import ContainerFault, containers

_CPUS = 0.01
_MEMORY = 24 * 1024 * 1024
"""Bytes. A node needs about 50 MB to come up."""


class _Limited(ContainerFault):
    """A node's container has less of something than it came up with."""

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether it has less than it came up with."""
        return await containers(deployment).limited(self.target)

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Lift the limit, and have it run."""
        await containers(deployment).lift(self.target)
        await self.set_running(deployment)


class NodeSlowCpu(_Limited):
    name = "node_slow_cpu"
    summary = "a node's container may use a hundredth of a processor"
    kind = FaultKind.RESOURCE_CPU
    expected = ("high_latency", "node_down", "observer_blind")
    found_within_s = 15.0  # it answers now and then, until its queue is long

    def truth(self) -> GroundTruth:
        """The quota of one container is far below what its work takes."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"the processor quota of {self.target} was lowered to {_CPUS} of a processor",
            causal_path=(
                f"the quota of {self.target} was lowered",
                f"{self.target} stands still for most of each tenth of a second",
                f"{self.target} answers late, or not in time",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Lower the quota, in place."""
        await containers(deployment).limit(self.target, cpus=_CPUS)
        return {}

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Give it the processor that compose.yaml declares."""
        return (f"docker update --cpus 1 {container(self.target)}",)


class NodeOutOfMemory(_Limited):
    name = "node_out_of_memory"
    summary = "a node is started again with a memory limit that it cannot live in"
    kind = FaultKind.RESOURCE_MEMORY
    expected = ("node_down",)

    def truth(self) -> GroundTruth:
        """The kernel kills it whenever it starts."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"the memory limit of {self.target} is {_MEMORY >> 20} MiB: it is killed at its start",
            causal_path=(
                f"the memory limit of {self.target} was lowered",
                f"{self.target} started again and was killed for want of memory",
                f"nothing listens on the port of {self.target}",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Stop it, lower the limit (a running one may not fit any more) and let it try to start."""
        lab = containers(deployment)
        await lab.stop(self.target)
        await lab.limit(self.target, memory=_MEMORY)
        await lab.attempt(self.target)
        return {}

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Give it the memory that compose.yaml declares, and start it."""
        memory = f"docker update --memory 192m --memory-swap 384m {container(self.target)}"
        return (memory, start(deployment, self.target))
