"""One reading of the whole rate limiter: all probes at once, each under a deadline of its own.

So one hung node delays nothing else, and a reading ends within about 0.6 s whatever is broken. Redis'
totals are read before and after each node's counters, which is why a node's metrics wait a moment for
Redis; without Redis they are read all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import TypeVar

from operatorlab.clock import Clock, SystemClock
from operatorlab.subject import Deployment, NodeState, Observation, Observer
from subjects.ratelimiter.limits import CANARY, DECLARED
from subjects.ratelimiter.observer.answers import REDIS, Answers, NodeAnswers
from subjects.ratelimiter.observer.node_probe import NodeProbe, http_client
from subjects.ratelimiter.observer.readings import NodeCounts
from subjects.ratelimiter.observer.redis_probe import RedisAnswer, RedisProbe
from subjects.ratelimiter.observer.silence import Silence

NODES = ("node-1", "node-2", "node-3")
_CANARY_COST = 2
"""What one canary check takes of the limit: few checks are needed to reach it."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each probe waits, in seconds.

    `totals` bounds each of the two looks around a node's counters; `patience` is how long a node may take to
    tell whether it is ready before it is also asked whether it lives.
    """

    health: float = 0.4
    ready: float = 0.5  # longer than a node waits for Redis
    metrics: float = 0.4
    canary: float = 0.4
    redis: float = 0.4
    totals: float = 0.1
    patience: float = 0.1


class RateLimiterObserver:
    """Looks at three nodes and their Redis; keeps nothing between readings but its connections and who was down."""

    def __init__(self, nodes: Sequence[NodeProbe], redis: RedisProbe, *, deadlines: Deadlines, clock: Clock) -> None:
        self._nodes = nodes
        self._redis = redis
        self._deadlines = deadlines
        self._clock = clock
        self._down: frozenset[str] = frozenset()
        self._turn = 0

    async def observe(self) -> Observation:
        """Take one reading; see `operatorlab.subject.Observer`."""
        start = self._clock.now()
        shares = self._share_canary()
        async with asyncio.TaskGroup() as probes:
            asked = probes.create_task(_answer(self._redis.look(self._deadlines.redis)))
            looks = [probes.create_task(self._look(node, shares[node.name], asked)) for node in self._nodes]
        answers = {probe.name: look.result() for probe, look in zip(self._nodes, looks, strict=True)}
        seen = Answers(answers, asked.result())
        self._down = frozenset(member.name for member in seen.members() if member.state is NodeState.DOWN)
        return Observation(
            at=start.at,
            monotonic=start.monotonic,
            duration_s=self._clock.now().since(start),
            nodes=seen.members(),
            readings=seen.readings().to_json(),
            blind=seen.blind(),
        )

    def _share_canary(self) -> dict[str, int]:
        """How many canary checks each node gets: together beyond the limit, in turns, none for who was down."""
        shares = dict.fromkeys((node.name for node in self._nodes), 0)
        takers = [name for name in shares if name not in self._down]
        checks = DECLARED[CANARY] // _CANARY_COST + 1 if takers else 0
        for name in islice(cycle(takers), self._turn, self._turn + checks):
            shares[name] += 1
        self._turn = (self._turn + 1) % len(NODES)
        return shares

    async def _look(self, node: NodeProbe, checks: int, asked: asyncio.Task[RedisAnswer | Silence]) -> NodeAnswers:
        limits = self._deadlines
        async with asyncio.TaskGroup() as probes:
            unready = probes.create_task(_answer(node.unready(limits.ready)))
            health = probes.create_task(self._health(node, unready))
            counts = probes.create_task(_answer(self._counts(node, asked)))
            canary = [
                probes.create_task(_answer(node.canary(_CANARY_COST, limits.canary, self._clock)))
                for _ in range(checks)
            ]
        return NodeAnswers(unready.result(), health.result(), counts.result(), tuple(c.result() for c in canary))

    async def _health(self, node: NodeProbe, unready: asyncio.Task[str | Silence]) -> int | Silence | None:
        """Whether the node lives, asked only if it does not prove that by telling soon whether it is ready."""
        await asyncio.wait({unready}, timeout=self._deadlines.patience)
        if unready.done() and not isinstance(unready.result(), Silence):
            return None
        return await _answer(node.health(self._deadlines.health))

    async def _counts(self, node: NodeProbe, asked: asyncio.Task[RedisAnswer | Silence]) -> NodeCounts:
        """A node's counters, between two looks at Redis' total for it where Redis answers in time."""
        await asyncio.wait({asked}, timeout=self._deadlines.totals)
        redis = asked.result() if asked.done() else None
        counts = await node.counts(self._deadlines.metrics)
        if not isinstance(redis, RedisAnswer) or redis.totals is None:
            return counts
        after = await _answer(self._redis.total(node.name, self._deadlines.totals))
        if isinstance(after, Silence):
            return counts
        return replace(counts, counted_before=redis.totals.get(node.name, 0), counted_after=after)


async def _answer(question: Awaitable[_T]) -> _T | Silence:
    """What a probe was told, or its silence as a value."""
    try:
        return await question
    except Silence as silence:
        return silence


@contextlib.asynccontextmanager
async def observe(
    deployment: Deployment, *, deadlines: Deadlines | None = None, clock: Clock | None = None
) -> AsyncIterator[Observer]:
    """Look at `deployment` until the context ends."""
    async with contextlib.AsyncExitStack() as stack:
        redis = RedisProbe(deployment.address(REDIS))
        stack.push_async_callback(redis.close)
        nodes = [
            NodeProbe(name, deployment.address(name), await stack.enter_async_context(http_client())) for name in NODES
        ]
        yield RateLimiterObserver(nodes, redis, deadlines=deadlines or Deadlines(), clock=clock or SystemClock())
