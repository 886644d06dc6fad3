"""Clients of one node that go to the next when it fails, and the next is too narrow for them."""

from __future__ import annotations

from operatorlab.subject import FaultKind, GroundTruth, Subject
from subjects.ratelimiter.faults.on_crowd import CONNECTIONS, PATH, InsistentCrowd

_HOME = "node-1"
_CLIENTS = 80


class FailoverClients(InsistentCrowd):
    name = "failover_clients"
    summary = (
        f"{_CLIENTS} clients of {_HOME} would go to a node with {CONNECTIONS} connections to Redis, {PATH} away, "
        "if theirs failed"
    )
    kind = FaultKind.OVERLOAD
    clients = _CLIENTS
    every_s = 0.8  # 100 times a second together: what the narrow node can serve in all, and it has clients of its own

    @classmethod
    def targets(cls, subject: Subject) -> tuple[str, ...]:
        """Where the clients go."""
        return tuple(node for node in super().targets(subject) if node != _HOME)

    def asked(self) -> tuple[str, ...]:
        """Their own node first."""
        return (_HOME, self.target)

    def truth(self) -> GroundTruth:
        """The other node's outage is more than this one can bear."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{_CLIENTS} clients of {_HOME} came to {self.target} when theirs failed, and {self.narrow}",
            causal_path=(
                f"{_HOME} does not serve its clients",
                f"they ask {self.target} instead, which is more than its connections can serve",
                f"calls to Redis have run out of time when their turn comes, and {self.target} serves nearly nobody",
                "whoever was not served asks again, with no back-off",
            ),
            spread=((_HOME, self.target),),
        )
