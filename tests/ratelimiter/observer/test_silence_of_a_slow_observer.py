"""How long a node was silent is told by what it was waited for, not by how long the observer took."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest

from operatorlab.clock import Instant
from operatorlab.subject import MemberState, NodeState
from subjects.ratelimiter.invariants import NODE_DOWN
from subjects.ratelimiter.observer import Deadlines, RateLimiterObserver
from subjects.ratelimiter.observer.breaks import Breaks
from subjects.ratelimiter.observer.node_probe import NodeProbe
from subjects.ratelimiter.observer.redis_probe import RedisProbe
from subjects.ratelimiter.observer.wire import Wire

QUICK = Deadlines(
    health=0.01, ready=0.02, metrics=0.02, canary=0.02, redis=0.02, totals=0.01, patience=0.01, paused=0.01
)


class Late:
    """A clock that says that each reading took ten seconds."""

    def __init__(self):
        self.monotonic = 0.0

    def now(self):
        self.monotonic += 10.0
        return Instant(self.monotonic, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
async def mute():
    """The address of something that accepts and says nothing."""

    async def listen(reader, writer):
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[:2]
        server.close()


async def test_a_reading_that_took_long_is_no_long_silence(mute):
    async def runs(member):
        return MemberState.RUNNING

    with contextlib.closing(Wire(mute)) as wire:
        redis = RedisProbe(mute)
        observer = RateLimiterObserver(
            [NodeProbe("node-1", wire)], redis, runs, Breaks(), deadlines=QUICK, clock=Late()
        )
        seen = await observer.observe()
        node = seen.node("node-1")
        assert seen.duration_s >= 10
        assert node.state in {NodeState.DOWN, NodeState.UNKNOWN}
        assert node.facts.get("silent_s", 0.0) <= QUICK.longest < NODE_DOWN.threshold
        again = (await observer.observe()).node("node-1")
        if again.state is NodeState.DOWN:
            assert again.facts["silent_s"] >= 10, "silent from one reading to the next is silent"
        await observer.close()
        await redis.close()
