"""One reading of the whole rate limiter: all questions at once, none waited for longer than its deadline.

So one hung node delays nothing else, and a reading ends within about 0.6 s whatever is broken. Redis'
totals are read before and after each node's counters, which is why a node's metrics wait a moment for
Redis; without Redis they are read all the same. Of a member that does not answer soon, whoever runs it is asked
whether it is paused: if so, that is the answer, and nothing more is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from typing import Any

from operatorlab.clock import Clock, Instant, SystemClock
from operatorlab.errors import OperatorLabError
from operatorlab.subject import Change, Deployment, MemberState, Node, NodeState, Observation, Observer
from subjects.ratelimiter.limits import CANARY, DECLARED
from subjects.ratelimiter.observer.answers import REDIS, Answers, NodeAnswers
from subjects.ratelimiter.observer.breaks import Breaks
from subjects.ratelimiter.observer.node_probe import NodeProbe
from subjects.ratelimiter.observer.questions import Questions
from subjects.ratelimiter.observer.readings import NodeCounts
from subjects.ratelimiter.observer.redis_probe import RedisAnswer, RedisProbe
from subjects.ratelimiter.observer.silence import Silence
from subjects.ratelimiter.observer.wire import Wire

NODES = ("node-1", "node-2", "node-3")
_CANARY_COST = 2
"""What one canary check takes of the limit: few checks are needed to reach it."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a reading waits for each answer, in seconds.

    `totals` bounds each of the two looks around a node's counters. `patience` is how long a node may take to
    tell whether it is ready before it is also asked whether it lives. An open question is dropped after `give_up`.
    `paused` bounds the question to whoever runs a member that is silent for longer than `patience`.
    """

    health: float = 0.4
    ready: float = 0.5  # longer than a node waits for Redis
    metrics: float = 0.5
    canary: float = 0.5
    redis: float = 0.4
    totals: float = 0.1
    patience: float = 0.1
    paused: float = 0.1
    give_up: float = 3.0


class RateLimiterObserver:
    """Looks at three nodes and their Redis. Keeps its connections, its open questions and who is silent since when."""

    def __init__(
        self,
        nodes: Sequence[NodeProbe],
        redis: RedisProbe,
        state: Callable[[str], Awaitable[MemberState]],
        breaks: Breaks,
        *,
        deadlines: Deadlines,
        clock: Clock,
    ) -> None:
        self._nodes = nodes
        self._redis = redis
        self._state = state
        self._breaks = breaks
        self._deadlines = deadlines
        self._clock = clock
        self._questions = Questions()
        self._silent_since: dict[str, Instant] = {}
        self._turn = 0

    async def observe(self) -> Observation:
        """Take one reading; see `operatorlab.subject.Observer`."""
        start = self._clock.now()
        shares = self._share_canary()
        async with asyncio.TaskGroup() as looking:
            asked = looking.create_task(self._look_at_redis())
            looks = [looking.create_task(self._look(node, shares[node.name], asked)) for node in self._nodes]
        answers = {probe.name: look.result() for probe, look in zip(self._nodes, looks, strict=True)}
        seen = Answers(answers, asked.result())
        end = self._clock.now()
        return Observation(
            at=start.at,
            monotonic=start.monotonic,
            duration_s=end.since(start),
            nodes=tuple(self._with_silence(member, start, end) for member in seen.members()),
            readings=seen.readings().to_json(),
            blind=seen.blind(),
        )

    def changes(self) -> AsyncIterator[Change]:
        """Nodes that ended a kept connection; see `operatorlab.subject.Announces`."""
        return self._breaks.changes()

    async def close(self) -> None:
        """Take back what is still open."""
        await self._questions.drop()

    def _with_silence(self, member: Node, start: Instant, end: Instant) -> Node:
        """The member, with the fact for how long it has answered nothing at all."""
        if member.state is NodeState.DOWN:
            since = self._silent_since.setdefault(member.name, start)
            return replace(member, facts={**member.facts, "silent_s": round(end.since(since), 3)})
        if member.state is not NodeState.UNKNOWN:
            self._silent_since.pop(member.name, None)
        return member

    def _share_canary(self) -> dict[str, int]:
        """How many canary checks each node gets: together beyond the limit, in turns, none for who is silent."""
        shares = dict.fromkeys((node.name for node in self._nodes), 0)
        takers = [name for name in shares if name not in self._silent_since]
        checks = DECLARED[CANARY] // _CANARY_COST + 1 if takers else 0
        for name in islice(cycle(takers), self._turn, self._turn + checks):
            shares[name] += 1
        self._turn = (self._turn + 1) % len(NODES)
        return shares

    async def _look_at_redis(self) -> RedisAnswer | Silence:
        limits, frozen = self._deadlines, asyncio.get_running_loop().create_future()
        question = partial(self._redis.look, limits.give_up)
        async with asyncio.TaskGroup() as asking:
            asked = asking.create_task(self._questions.ask((REDIS,), question, limits.redis, frozen))
            await self._freeze(REDIS, asked, frozen)
        return asked.result()

    async def _look(self, node: NodeProbe, checks: int, asked: asyncio.Task[RedisAnswer | Silence]) -> NodeAnswers:
        limits, name = self._deadlines, node.name
        frozen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ask = partial(self._questions.ask, frozen=frozen)
        check = partial(node.canary, _CANARY_COST, limits.give_up, self._clock)
        async with asyncio.TaskGroup() as asking:
            unready = asking.create_task(ask((name, "ready"), partial(node.unready, limits.give_up), limits.ready))
            health = asking.create_task(self._health(node, unready, frozen))
            counts = asking.create_task(ask((name, "metrics"), partial(self._counts, node, asked), limits.metrics))
            canary = [asking.create_task(ask((name, "canary", str(i)), check, limits.canary)) for i in range(checks)]
        return NodeAnswers(unready.result(), health.result(), counts.result(), tuple(c.result() for c in canary))

    async def _health(
        self, node: NodeProbe, unready: asyncio.Task[str | Silence], frozen: asyncio.Future[None]
    ) -> int | Silence | None:
        """Whether the node lives, asked only if it does not prove that by telling soon whether it is ready."""
        await self._freeze(node.name, unready, frozen)
        if unready.done() and not isinstance(unready.result(), Silence):
            return None
        question = partial(node.health, self._deadlines.give_up)
        return await self._questions.ask((node.name, "health"), question, self._deadlines.health, frozen)

    async def _freeze(self, member: str, answer: asyncio.Task[Any], frozen: asyncio.Future[None]) -> None:
        """Give `answer` its time; without one, mark the member `frozen` if whoever runs it says that it is paused.

        Silence alone proves nothing, for a busy machine can feign it; nor does a pause that it answers through.
        """
        await asyncio.wait({answer}, timeout=self._deadlines.patience)
        if answer.done():
            return
        with contextlib.suppress(OperatorLabError, OSError, TimeoutError):  # then nobody knows
            async with asyncio.timeout(self._deadlines.paused):
                if await self._state(member) is MemberState.PAUSED and not answer.done():
                    frozen.set_result(None)

    async def _counts(self, node: NodeProbe, asked: asyncio.Task[RedisAnswer | Silence]) -> NodeCounts:
        """A node's counters, between two looks at Redis' total for it where Redis answers in time."""
        await asyncio.wait({asked}, timeout=self._deadlines.totals)
        redis = asked.result() if asked.done() and not asked.cancelled() else None
        counts = await node.counts(self._deadlines.give_up)
        if not isinstance(redis, RedisAnswer) or redis.totals is None:
            return counts
        try:
            after = await self._redis.total(node.name, self._deadlines.totals)
        except Silence:  # the counters are worth having without; what compares them says that it cannot
            return counts
        return replace(counts, counted_before=redis.totals.get(node.name, 0), counted_after=after)


@contextlib.asynccontextmanager
async def observe(
    deployment: Deployment, *, deadlines: Deadlines | None = None, clock: Clock | None = None
) -> AsyncIterator[Observer]:
    """Look at `deployment` until the context ends."""
    async with contextlib.AsyncExitStack() as stack:
        breaks = Breaks()
        redis = RedisProbe(deployment.address(REDIS))
        stack.push_async_callback(redis.close)
        wires = {name: Wire(deployment.address(name), partial(breaks.tell, name)) for name in NODES}
        for wire in wires.values():
            stack.callback(wire.close)
        nodes = [NodeProbe(name, wire) for name, wire in wires.items()]
        observer = RateLimiterObserver(
            nodes, redis, deployment.state, breaks, deadlines=deadlines or Deadlines(), clock=clock or SystemClock()
        )
        stack.push_async_callback(observer.close)
        yield observer
