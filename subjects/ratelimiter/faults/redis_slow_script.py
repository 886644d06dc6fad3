"""A client has Redis run long scripts, one after the other: Redis serves one at a time, and everybody waits."""

from __future__ import annotations

from operatorlab.subject import GroundTruth
from subjects.ratelimiter.faults.on_client import RogueClient
from subjects.ratelimiter.faults.on_redis import every_node

_BUSY_MS = 170
"""A node waits 250 ms for Redis: its calls are late, and nearly all of them get through."""
_PAUSE_S = 0.02
# The clock may stand still within a script, as it does in later versions of Redis; then the count ends it.
_SCRIPT = (
    "local function now() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end "
    f"local till = now() + {_BUSY_MS * 1000} for i = 1, 1000000 do if now() > till then return i end end"
)


class RedisSlowScript(RogueClient):
    name = "redis_slow_script"
    summary = f"a client that nobody asked for keeps Redis busy with scripts of {_BUSY_MS} ms each"
    expected = ("high_latency",)

    def argv(self, port: int) -> tuple[str, ...]:
        """It runs the script for ever."""
        return self.repeating(port, _PAUSE_S, "EVAL", _SCRIPT, "0")

    def truth(self) -> GroundTruth:
        """Every node is as slow as Redis; what keeps Redis busy is a client."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"a process has Redis run a script of {_BUSY_MS} ms again and again; meanwhile it serves nobody",
            causal_path=(
                "a client that is no node has Redis run long scripts",
                "Redis serves one command at a time: all others wait for the script",
                "every decision of every node takes longer",
            ),
            spread=every_node(self.target),
        )
