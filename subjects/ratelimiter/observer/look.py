"""One reading of the whole rate limiter: all questions at once, none waited for longer than its deadline.

So one hung node delays nothing else, and a reading ends within about 0.6 s whatever is broken. Redis'
totals are read before and after the nodes' counters, which is why their metrics wait a moment for
Redis; without Redis they are read all the same. Of a member that does not answer soon, whoever runs it is asked
whether it is paused: if so, that is the answer, and nothing more is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from typing import Any

from operatorlab.clock import Clock, Instant, SystemClock
from operatorlab.subject import Change, Deployment, MemberState, Node, NodeState, Observation, Observer
from subjects.ratelimiter.limits import CANARY, DECLARED
from subjects.ratelimiter.members import NODES, REDIS
from subjects.ratelimiter.observer.answers import Answers, NodeAnswers
from subjects.ratelimiter.observer.asking import CANARY_COST, Asking, Begun, Deadlines
from subjects.ratelimiter.observer.breaks import Breaks
from subjects.ratelimiter.observer.node_probe import NodeProbe
from subjects.ratelimiter.observer.questions import Questions
from subjects.ratelimiter.observer.readings import NodeCounts, Told
from subjects.ratelimiter.observer.redis_probe import RedisAnswer, RedisProbe
from subjects.ratelimiter.observer.silence import Silence
from subjects.ratelimiter.observer.totals import Totals
from subjects.ratelimiter.observer.wire import Wire

_AT_ONCE = 100
"""Twice so many nodes are asked at once: of more, the last would look late because the observer is busy with others."""
_Told = tuple[str, NodeAnswers | asyncio.Task[NodeAnswers]]


class RateLimiterObserver:
    """Looks at nodes and their Redis. Keeps its connections, its open questions and who is silent since when."""

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
        self._breaks = breaks
        self._deadlines = deadlines
        self._clock = clock
        self._questions = Questions(deadlines.give_up)
        self._asking = Asking(self._questions, state, deadlines, clock)
        self._silent_since: dict[str, Instant] = {}
        self._turn = 0

    async def observe(self) -> Observation:
        """Take one reading; see `operatorlab.subject.Observer`."""
        start = self._clock.now()
        shares = self._share_canary()
        async with asyncio.TaskGroup() as looking:
            asked = looking.create_task(self._look_at_redis())
            totals = Totals(self._redis, asked, self._deadlines.totals)
            told: list[_Told] = []
            asked_before: list[Begun] = []
            for some in (*_batches(self._nodes), ()):  # the next are asked before those before them are waited for
                begun = [self._asking.begin(node, shares[node.name], totals) for node in some]
                told += await self._answers(asked_before, totals, looking)
                asked_before = begun
        answers = {name: one if isinstance(one, NodeAnswers) else one.result() for name, one in told}
        seen = Answers(answers, asked.result(), totals.after)
        members, end = seen.members(), self._clock.now()
        return Observation(
            at=start.at,
            monotonic=start.monotonic,
            duration_s=end.since(start),
            nodes=self._with_silence(members, start, end),
            readings=Told(seen.readings()),
            blind=seen.blind(members),
        )

    def changes(self) -> AsyncIterator[Change]:
        """Nodes that ended a kept connection; see `operatorlab.subject.Announces`."""
        return self._breaks.changes()

    async def close(self) -> None:
        """Take back what is still open."""
        await self._questions.drop()

    def _with_silence(self, members: Sequence[Node], start: Instant, end: Instant) -> tuple[Node, ...]:
        """The members; those that are down with the fact for how long they have answered nothing at all.

        This reading adds no more than it waited for any answer: if it took longer, it was the observer that was slow.
        """
        silent = {node.name for node in members if node.state is NodeState.DOWN}
        unknown = {node.name for node in members if node.state is NodeState.UNKNOWN}
        before = {name: since for name, since in self._silent_since.items() if name in silent or name in unknown}
        self._silent_since = {**dict.fromkeys(silent, start), **before}
        waited_s = min(end.since(start), self._deadlines.longest)

        def told(node: Node) -> Node:
            silent_s = start.since(self._silent_since[node.name]) + waited_s
            return replace(node, facts={**node.facts, "silent_s": round(silent_s, 3)})

        return tuple([told(node) if node.name in silent else node for node in members])

    def _share_canary(self) -> dict[str, int]:
        """How many canary checks each node gets: together beyond the limit, in turns, none for who is silent."""
        shares = dict.fromkeys((node.name for node in self._nodes), 0)
        takers = [name for name in shares if name not in self._silent_since]
        checks = DECLARED[CANARY] // CANARY_COST + 1 if takers else 0
        for name in islice(cycle(takers), self._turn, self._turn + checks):
            shares[name] += 1
        self._turn = (self._turn + 1) % len(self._nodes)
        return shares

    async def _look_at_redis(self) -> RedisAnswer | Silence:
        limits, frozen = self._deadlines, asyncio.get_running_loop().create_future()
        question = partial(self._redis.look, limits.give_up)
        async with asyncio.TaskGroup() as asking:
            asked = asking.create_task(self._questions.ask(REDIS, question, limits.redis, frozen))
            await asyncio.wait({asked}, timeout=limits.patience)
            if not asked.done():
                await self._asking.freeze(REDIS, asked, frozen)
        return asked.result()

    async def _answers(self, begun: Sequence[Begun], totals: Totals, looking: asyncio.TaskGroup) -> list[_Told]:
        """The answers of some nodes, by name; of one that takes its time, a task of `looking` that waits for them."""
        asking = self._asking
        late = await _late([task for one in begun for task in one.tasks], self._deadlines.patience)
        looking.create_task(totals.read_after([one.node.name for one in begun if one.counts not in late]))
        return [
            (
                one.node.name,
                asking.answers(one) if one.settled(late) else looking.create_task(self._finish(one, totals)),
            )
            for one in begun
        ]

    async def _finish(self, begun: Begun, totals: Totals) -> NodeAnswers:
        """The answers of a node that takes its time, and the total of it, if its counters came later than most."""
        late = not begun.counts.done()
        answers = await self._asking.finish(begun)
        if late and isinstance(answers.counts, NodeCounts):
            await totals.read_after([begun.node.name])
        return answers


async def _late(asked: Sequence[asyncio.Task[Any]], patience_s: float) -> set[asyncio.Task[Any]]:
    """Wait for all of these, and return those that are not done in time.

    The last that was asked first: by then most others are done, and need not be waited for one by one.
    """
    due = asyncio.get_running_loop().time() + patience_s
    for task in reversed(asked):
        if not task.done():
            await asyncio.wait({task}, timeout=due - asyncio.get_running_loop().time())
            if not task.done():
                return {task for task in asked if not task.done()}
    return set()


def _batches(nodes: Sequence[NodeProbe]) -> Iterator[Sequence[NodeProbe]]:
    return (nodes[first : first + _AT_ONCE] for first in range(0, len(nodes), _AT_ONCE))


@contextlib.asynccontextmanager
async def observe(
    deployment: Deployment,
    nodes: Sequence[str] = NODES,
    *,
    deadlines: Deadlines | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Observer]:
    """Look at the `nodes` of `deployment`, and at its Redis, until the context ends."""
    async with contextlib.AsyncExitStack() as stack:
        breaks = Breaks()
        redis = RedisProbe(deployment.address(REDIS))
        stack.push_async_callback(redis.close)
        wires = {name: Wire(deployment.address(name), partial(breaks.tell, name)) for name in nodes}
        for wire in wires.values():
            stack.callback(wire.close)
        probes = [NodeProbe(name, wire) for name, wire in wires.items()]
        observer = RateLimiterObserver(
            probes, redis, deployment.state, breaks, deadlines=deadlines or Deadlines(), clock=clock or SystemClock()
        )
        stack.push_async_callback(observer.close)
        yield observer
