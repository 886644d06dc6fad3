"""A client throws away everything that Redis holds, again and again."""

from __future__ import annotations

from operatorlab.subject import GroundTruth
from subjects.ratelimiter.faults.on_client import RogueClient

_EVERY_S = 0.5


class RedisFlush(RogueClient):
    name = "redis_flush"
    summary = "a client that nobody asked for empties Redis twice a second (FLUSHALL)"
    expected = ("counter_drift",)
    also = ("ghost_allowing",)  # windows that are forgotten are filled again

    def argv(self, port: int) -> tuple[str, ...]:
        """It flushes for ever."""
        return self.repeating(port, _EVERY_S, "FLUSHALL")

    def truth(self) -> GroundTruth:
        """Redis and the nodes are well; a client takes their counters away."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"a process sends Redis FLUSHALL every {_EVERY_S:g} s: all counters and limits are gone",
            causal_path=(
                "a client that is no node sends FLUSHALL again and again",
                "Redis forgets every window and every total, without a restart",
                "keys are allowed more than was declared, and totals no longer agree with the nodes",
            ),
        )
