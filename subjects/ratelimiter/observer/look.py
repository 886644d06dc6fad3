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
from operatorlab.subject import Blind, Deployment, Json, Node, NodeState, Observation, Observer
from subjects.ratelimiter.limits import CANARY, DECLARED
from subjects.ratelimiter.observer.node_probe import NodeProbe, http_client
from subjects.ratelimiter.observer.readings import CanaryCheck, NodeCounts, Readings
from subjects.ratelimiter.observer.redis_probe import RedisAnswer, RedisProbe
from subjects.ratelimiter.observer.silence import Silence

NODES = ("node-1", "node-2", "node-3")
REDIS = "redis"
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


@dataclass(frozen=True, slots=True)
class _NodeSeen:
    """The answers of one node, or why there was none."""

    health: int | Silence | None  # None: not asked, its readiness came soon enough
    unready: str | Silence
    counts: NodeCounts | Silence
    canary: tuple[CanaryCheck | Silence, ...]


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
        redis = asked.result()
        seen = {probe.name: look.result() for probe, look in zip(self._nodes, looks, strict=True)}
        members = (*(_node(name, one) for name, one in seen.items()), _redis_node(redis))
        self._down = frozenset(member.name for member in members if member.state is NodeState.DOWN)
        return Observation(
            at=start.at,
            monotonic=start.monotonic,
            duration_s=self._clock.now().since(start),
            nodes=members,
            readings=_readings(seen, redis).to_json(),
            blind=tuple(blind for member in members for blind in _blind(member, seen.get(member.name), redis)),
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

    async def _look(self, node: NodeProbe, checks: int, asked: asyncio.Task[RedisAnswer | Silence]) -> _NodeSeen:
        limits = self._deadlines
        async with asyncio.TaskGroup() as probes:
            unready = probes.create_task(_answer(node.unready(limits.ready)))
            health = probes.create_task(self._health(node, unready))
            counts = probes.create_task(_answer(self._counts(node, asked)))
            canary = [
                probes.create_task(_answer(node.canary(_CANARY_COST, limits.canary, self._clock)))
                for _ in range(checks)
            ]
        return _NodeSeen(health.result(), unready.result(), counts.result(), tuple(c.result() for c in canary))

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


def _node(name: str, seen: _NodeSeen) -> Node:
    silence = _silence(seen)
    if silence is not None:
        state = NodeState.UNKNOWN if silence.unseen else NodeState.DOWN
        return Node(name, "node", state, silence.why, {"refused": silence.refused})
    facts: dict[str, Json] = {
        "refused": False,
        "ready": None if isinstance(seen.unready, Silence) else not seen.unready,
    }
    if isinstance(seen.counts, NodeCounts):
        facts |= {"allowed": seen.counts.allowed, "denied": seen.counts.denied, "started": seen.counts.started}
    reason = f"/ready: {seen.unready.why}" if isinstance(seen.unready, Silence) else seen.unready
    if not reason and isinstance(seen.health, int) and seen.health != 200:
        reason = f"/health answers {seen.health}"
    return Node(name, "node", NodeState.DEGRADED if reason else NodeState.UP, reason, facts)


def _silence(seen: _NodeSeen) -> Silence | None:
    """Why the node does not seem to live; None if it answered anything at all."""
    answers = (seen.health, seen.unready, seen.counts, *seen.canary)
    if isinstance(seen.health, Silence) and all(isinstance(answer, Silence) for answer in answers):
        return seen.health
    return None


def _redis_node(answer: RedisAnswer | Silence) -> Node:
    if isinstance(answer, Silence):
        state = NodeState.UNKNOWN if answer.unseen else NodeState.DOWN
        return Node(REDIS, REDIS, state, answer.why, {"refused": answer.refused})
    if answer.refusal:
        return Node(REDIS, REDIS, NodeState.DEGRADED, f"refuses the observer: {answer.refusal}", {"refused": False})
    assert answer.reading is not None
    facts = {"refused": False, "version": answer.version, "uptime_s": answer.uptime_s, "run_id": answer.reading.run_id}
    return Node(REDIS, REDIS, NodeState.UP, "", facts)


def _readings(seen: dict[str, _NodeSeen], redis: RedisAnswer | Silence) -> Readings:
    return Readings(
        nodes={name: one.counts for name, one in seen.items() if isinstance(one.counts, NodeCounts)},
        redis=redis.reading if isinstance(redis, RedisAnswer) else None,
        canary=tuple(check for one in seen.values() for check in one.canary if isinstance(check, CanaryCheck)),
    )


def _blind(member: Node, seen: _NodeSeen | None, redis: RedisAnswer | Silence) -> list[Blind]:
    """What of a member could not be seen. One that is down is seen to be down: that is no blindness."""
    if member.state is NodeState.UNKNOWN:
        return [Blind("state", member.name, member.reason)]
    if seen is None:
        refusal = redis.refusal if isinstance(redis, RedisAnswer) else ""
        return [Blind("counts", member.name, refusal)] if refusal else []
    if member.state is NodeState.DOWN:
        return []
    canary = next((check for check in seen.canary if isinstance(check, Silence)), None)
    looks = {"health": seen.health, "readiness": seen.unready, "metrics": seen.counts, "canary": canary}
    return [Blind(what, member.name, silence.why) for what, silence in looks.items() if isinstance(silence, Silence)]


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
