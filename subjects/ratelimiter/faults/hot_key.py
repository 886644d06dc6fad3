"""One key takes nearly all of what a node can serve: its clients ask again as soon as they are answered."""

from __future__ import annotations

from types import MappingProxyType

from operatorlab.subject import FaultKind, GroundTruth
from subjects.ratelimiter.faults.on_crowd import PATH, CrowdedNode

_KEY = "tenant-a"
_CLIENTS = 34
_CONNECTIONS = 12
"""They serve 300 calls a second, of which the load of the lab is 13 to 100. So 34 clients that never pause wait 0.12 to
0.17 s each: late, and in time. If each call needs a new connection first, that is 150, and more than is asked by
clients that pause after a failure: what cuts calls off for a moment, the node gets over."""


class HotKey(CrowdedNode):
    name = "hot_key"
    summary = (
        f"{_CLIENTS} clients of one key ask a node with {_CONNECTIONS} connections to Redis, {PATH} away, without a "
        "pause"
    )
    kind = FaultKind.OVERLOAD
    expected = ("high_latency",)
    wrong = MappingProxyType({"redis_connections": _CONNECTIONS})
    clients = _CLIENTS
    every_s = 0.1  # less than an answer takes; it bounds what they ask once the node is wide again
    asking = ("--pause", "1", "--key", _KEY)

    def truth(self) -> GroundTruth:
        """What the clients of one key ask for leaves everybody else waiting."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{_CLIENTS} clients ask {self.target} for {_KEY} without a pause, and {self.narrow}",
            causal_path=(
                f"clients of {_KEY} ask {self.target} again as soon as they are answered, though nearly all are denied",
                f"one key takes nearly all that the connections of {self.target} to Redis can carry",
                "every call, whatever its key, waits for a connection first",
                f"{self.target} answers its clients late",
            ),
        )
