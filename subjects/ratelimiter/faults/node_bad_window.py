"""A node is rolled out with a limits file of its own, in which the window is a quarter of what was agreed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json
from subjects.ratelimiter.faults.on_configuration import ConfigurationFault
from subjects.ratelimiter.limits import DECLARED, DEFAULT, WINDOW_S

_FILE = "etc/limits-next.json"
_WINDOW_S = WINDOW_S / 4


class NodeBadWindow(ConfigurationFault):
    """Totals agree, so `counter_drift` has nothing to say; what shows is that more is allowed in a declared window.

    Redis does not show it either: the node drops from the shared window what it takes to be over. The canary does.
    """

    name = "node_bad_window"
    summary = f"a node is started with a window of {_WINDOW_S:g} s instead of {WINDOW_S:g} s"
    kind = FaultKind.BAD_ROLLOUT
    expected = ("ghost_allowing/canary",)
    also = ("node_down", "ghost_allowing")
    wrong = MappingProxyType({"limits_file": _FILE})
    right = MappingProxyType({"limits_file": "etc/limits.json"})

    def truth(self) -> GroundTruth:
        """One node counts by other rules than the others."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{self.target} was started with {_FILE}, in which the window is {_WINDOW_S:g} s",
            causal_path=(
                f"{self.path} names {_FILE}, whose window is a quarter of what was agreed",
                f"{self.target} forgets requests after {_WINDOW_S:g} s, for all nodes: windows are shared",
                "keys are allowed more than was declared",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Write the other limits file, and start the node with it."""
        limits = {"window_s": _WINDOW_S, "default": DEFAULT, "limits": dict(DECLARED)}
        await self.write(deployment, json.dumps(limits, indent=2) + "\n", _FILE)
        return await super().inject(deployment)

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Start the node with the file that all others have, and remove the other."""
        await super().heal(deployment, memo)
        await deployment.run(self.target, "rm", "-f", _FILE)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """The same."""
        return (*super().fix(deployment), f"rm {_FILE}")
