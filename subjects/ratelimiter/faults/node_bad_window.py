"""A node is rolled out with a window of its own, a quarter of what was agreed: in a limits file, or by a variable."""

from __future__ import annotations

import json
from types import MappingProxyType

from operatorlab.subject import FaultKind, GroundTruth
from subjects.ratelimiter.faults.on_configuration import ConfigurationFault
from subjects.ratelimiter.limits import DECLARED, DEFAULT, WINDOW_S
from subjects.ratelimiter.service.config import variable

_FILE = "etc/limits-next.json"
_WINDOW_S = WINDOW_S / 4
_LIMITS = {"window_s": _WINDOW_S, "default": DEFAULT, "limits": dict(DECLARED)}


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
    files = MappingProxyType({_FILE: json.dumps(_LIMITS, indent=2) + "\n"})
    variables = MappingProxyType({variable("window_s"): f"{_WINDOW_S:g}"})

    def truth(self) -> GroundTruth:
        """One node counts by other rules than the others."""
        told = f"{_FILE}, named in {self.told_by}"
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{self.target} was started with a window of {_WINDOW_S:g} s, as {told} says",
            causal_path=(
                f"{told} says that the window is a quarter of what was agreed",
                f"{self.target} forgets requests after {_WINDOW_S:g} s, for all nodes: windows are shared",
                "keys are allowed more than was declared",
            ),
        )
