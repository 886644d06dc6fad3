"""A node that has room for what it is asked, and clients that keep it overloaded for ever once it was not answering."""

from __future__ import annotations

from operatorlab.subject import FaultKind, GroundTruth
from subjects.ratelimiter.faults.on_crowd import CONNECTIONS, PATH, InsistentCrowd

_CLIENTS = 160


class InsistentClients(InsistentCrowd):
    name = "insistent_clients"
    summary = (
        f"a node with {CONNECTIONS} connections to Redis, {PATH} away, gets {_CLIENTS} clients that ask again and "
        "again when they fail"
    )
    kind = FaultKind.RETRY_STORM
    clients = _CLIENTS
    every_s = 13.0  # together 12 requests a second while they are answered, and up to 320 while they are not

    def truth(self) -> GroundTruth:
        """What keeps it overloaded is what the overload makes clients do."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{_CLIENTS} clients of {self.target} try again and again without end, and {self.narrow}",
            causal_path=(
                f"{self.target} could not serve its clients for a moment",
                "they ask again and again, with no back-off, and more calls wait than can be served in time",
                f"calls to Redis have run out of time when their turn comes, and {self.target} serves nearly nobody",
                "whoever was not served asks again: the overload stays although what began it is over",
            ),
        )
