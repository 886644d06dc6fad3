"""Clients that all come at the same moment, again and again: a node that has room for them one by one has none then."""

from __future__ import annotations

from operatorlab.subject import FaultKind, GroundTruth
from subjects.ratelimiter.faults.on_crowd import CONNECTIONS, PATH, NarrowNode

_CLIENTS = 80


class ThunderingHerd(NarrowNode):
    name = "thundering_herd"
    summary = (
        f"{_CLIENTS} clients ask a node with {CONNECTIONS} connections to Redis, {PATH} away, all at the same moment "
        "of each second"
    )
    kind = FaultKind.OVERLOAD
    clients = _CLIENTS
    every_s = 1.0  # a window: they take it to begin with the second, which a sliding one does not
    asking = ("--together",)

    def truth(self) -> GroundTruth:
        """In step they are more than the node can bear, and out of step they are not."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{_CLIENTS} clients ask {self.target} at the same moment of each second, and {self.narrow}",
            causal_path=(
                "clients wait for the next second, as if windows began with it, and all ask at once",
                f"more calls wait than the connections of {self.target} to Redis can serve in time",
                "who was not served asks again at once, three times in all: most of each second is lost",
                f"calls run out of time, the heartbeat too: {self.target} says again and again that it has lost Redis",
            ),
        )
