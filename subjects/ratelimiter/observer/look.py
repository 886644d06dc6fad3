"""One reading of the whole rate limiter: all questions at once, none waited for longer than its deadline.

So one hung node delays nothing else, and a reading ends within about 0.6 s whatever is broken. Redis'
totals are read before and after the nodes' counters, which is why their metrics wait a moment for
Redis; without Redis they are read all the same. Of a member that does not answer soon, whoever runs it is asked
whether it is paused: if so, that is the answer, and nothing more is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, islice

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
"""So many nodes are asked at once: of more, the last would look late because the observer is busy with the first."""


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
            looks = [await self._look(some, shares, totals, looking) for some in _batches(self._nodes)]
        answers = {name: one if isinstance(one, NodeAnswers) else one.result() for look in looks for name, one in look}
        seen = Answers(answers, asked.result(), totals.after)
        members, end = seen.members(), self._clock.now()
        return Observation(
            at=start.at,
            monotonic=start.monotonic,
            duration_s=end.since(start),
            nodes=tuple(self._with_silence(member, start, end) for member in members),
            readings=Told(seen.readings()),
            blind=seen.blind(members),
        )

    def changes(self) -> AsyncIterator[Change]:
        """Nodes that ended a kept connection; see `operatorlab.subject.Announces`."""
        return self._breaks.changes()

    async def close(self) -> None:
        """Take back what is still open."""
        await self._questions.drop()

    def _with_silence(self, member: Node, start: Instant, end: Instant) -> Node:
        """The member, with the fact for how long it has answered nothing at all.

        This reading adds no more than it waited for any answer: if it took longer, it was the observer that was slow.
        """
        if member.state is NodeState.DOWN:
            since = self._silent_since.setdefault(member.name, start)
            silent_s = start.since(since) + min(end.since(start), self._deadlines.longest)
            return replace(member, facts={**member.facts, "silent_s": round(silent_s, 3)})
        if self._silent_since and member.state is not NodeState.UNKNOWN:
            self._silent_since.pop(member.name, None)
        return member

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
            asked = asking.create_task(self._questions.ask((REDIS,), question, limits.redis, frozen))
            await asyncio.wait({asked}, timeout=limits.patience)
            if not asked.done():
                await self._asking.freeze(REDIS, asked, frozen)
        return asked.result()

    async def _look(
        self,
        nodes: Sequence[NodeProbe],
        shares: Mapping[str, int],
        totals: Totals,
        looking: asyncio.TaskGroup,
    ) -> list[tuple[str, NodeAnswers | asyncio.Task[NodeAnswers]]]:
        """The answers of some nodes, by name; of one that takes its time, a task of `looking` that waits for them."""
        asking = self._asking
        begun = [asking.begin(node, shares[node.name], totals) for node in nodes]
        await asyncio.wait({task for one in begun for task in one.tasks}, timeout=self._deadlines.patience)
        looking.create_task(totals.read_after([one.node.name for one in begun if one.counts.done()]))
        return [
            (one.node.name, asking.answers(one) if one.settled else looking.create_task(self._finish(one, totals)))
            for one in begun
        ]

    async def _finish(self, begun: Begun, totals: Totals) -> NodeAnswers:
        """The answers of a node that takes its time, and the total of it, if its counters came later than most."""
        late = not begun.counts.done()
        answers = await self._asking.finish(begun)
        if late and isinstance(answers.counts, NodeCounts):
            await totals.read_after([begun.node.name])
        return answers


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
