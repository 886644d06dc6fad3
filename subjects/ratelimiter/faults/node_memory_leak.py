"""A node keeps a trace of every check, as somebody wanted who looked for a mistake, and grows until it is killed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from operatorlab.subject import COMPOSE, Deployment, FaultKind, GroundTruth, Json
from subjects.ratelimiter.faults.on_configuration import ConfigurationFault
from subjects.ratelimiter.faults.on_container import containers

_TRACE_KB = 512
"""With the 33 checks a second of a node that is 17 MB a second; its container has room for 140 MB more."""
_KILLED_WITHIN_S = 25.0


class NodeMemoryLeak(ConfigurationFault):
    name = "node_memory_leak"
    summary = (
        f"a node is started so that it keeps {_TRACE_KB} KB of each check, until the kernel kills it for want of memory"
    )
    kind = FaultKind.RESOURCE_MEMORY
    expected = ("node_down",)
    also = ("high_latency", "observer_blind")  # just before the end
    found_within_s = 30.0
    deployments = (COMPOSE,)  # nothing kills a process that has grown too large
    wrong = MappingProxyType({"trace_kb": _TRACE_KB})

    def truth(self) -> GroundTruth:
        """Its limit is what it always was; what it keeps has no end."""
        (said,) = (f"{name}={value}" for name, value in self.variables.items())
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{self.target} was started with {said}: it keeps that much of each check until it is killed",
            causal_path=(
                f"the container of {self.target} was made with {said}",
                f"{self.target} keeps a trace of each check for ever",
                f"{self.target} reached its memory limit, and the kernel killed it; started again, it grows again",
                f"nothing listens on the port of {self.target}",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Start it so, and wait until it is killed for the first time; where no client asks it, it lives on."""
        memo = await super().inject(deployment)
        await containers(deployment).ended(self.target, _KILLED_WITHIN_S)
        return memo
