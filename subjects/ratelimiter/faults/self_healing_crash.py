"""A node is killed, and a watchdog starts it again half a minute later: whoever can wait has nothing to repair."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import PROCESSES, Deployment, FaultKind, GroundTruth, Json
from subjects.ratelimiter.faults.node_crash import NodeCrash
from subjects.ratelimiter.faults.on_process import StrayProcess

_AFTER_S = 30
# It ends as soon as anybody listens there, whoever started the node.
_WATCHDOG = (
    "until (: </dev/tcp/$1/$2) 2>/dev/null; do "
    '[ $((n += 1)) = $((2 * $3)) ] && supervisorctl start "$4"; sleep 0.5; done'
)


class SelfHealingCrash(StrayProcess, NodeCrash):
    name = "self_healing_crash"
    summary = f"SIGKILL of a node that a watchdog starts again after {_AFTER_S} s"
    kind = FaultKind.CRASH
    self_healing = True
    expected = ("node_down",)
    deployments = (PROCESSES,)

    def line(self, deployment: Deployment) -> tuple[str, ...]:
        """The watchdog."""
        host, port = deployment.inside(self.target)
        return ("bash", "-c", _WATCHDOG, "watchdog", host, str(port), str(_AFTER_S), self.target)

    def truth(self) -> GroundTruth:
        """The process is gone, and will be back."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"the process of {self.target} was killed (SIGKILL); a watchdog starts it {_AFTER_S} s later",
            causal_path=(
                f"{self.target} was killed",
                f"nothing listens on the port of {self.target}, and clients of it are refused",
                f"a watchdog sees that, waits for {_AFTER_S} s, and starts it",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Kill it, and have the watchdog look."""
        memo = await super().inject(deployment)
        await self.begin(deployment)
        return memo

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Start it now, if it does not run; the watchdog is not needed any more."""
        await self.end(deployment)
        await super().heal(deployment, memo)
