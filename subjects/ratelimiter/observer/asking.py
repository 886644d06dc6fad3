"""The questions to one node within one reading: begun at once, done with as soon as all are answered well.

Only a node that does not answer soon costs more: whoever runs it is asked whether it is paused, it is asked whether
it lives, and each of its answers is waited for until its own deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

from operatorlab.clock import Clock
from operatorlab.errors import OperatorLabError
from operatorlab.subject import MemberState
from subjects.ratelimiter.observer.answers import NodeAnswers
from subjects.ratelimiter.observer.node_probe import NodeProbe
from subjects.ratelimiter.observer.questions import Questions
from subjects.ratelimiter.observer.readings import CanaryCheck, NodeCounts
from subjects.ratelimiter.observer.silence import Silence
from subjects.ratelimiter.observer.totals import Totals

CANARY_COST = 2
"""What one canary check takes of the limit: few checks are needed to reach it."""
_Counted = tuple[NodeCounts, Mapping[str, int] | None]


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

    @property
    def longest(self) -> float:
        """The longest that any answer of a node is waited for."""
        return max(self.patience + self.paused + self.health, self.ready, self.metrics, self.canary)


class Begun(NamedTuple):
    """The open questions to one node: whether it is ready, what it counted, and the canary checks."""

    node: NodeProbe
    tasks: tuple[asyncio.Task[Any], ...]

    @property
    def unready(self) -> asyncio.Task[Any]:
        """Whether it is ready."""
        return self.tasks[0]

    @property
    def counts(self) -> asyncio.Task[Any]:
        """What it counted."""
        return self.tasks[1]

    @property
    def checks(self) -> int:
        """How many canary checks it was given."""
        return len(self.tasks) - 2

    def settled(self, late: AbstractSet[asyncio.Task[Any]]) -> bool:
        """Whether nothing needs to be waited for, or asked besides, given the questions that are open yet."""
        return late.isdisjoint(self.tasks) and not isinstance(self.unready.result(), Silence)


class Asking:
    """Asks nodes; keeps the open questions from one reading to the next."""

    def __init__(
        self, questions: Questions, state: Callable[[str], Awaitable[MemberState]], limits: Deadlines, clock: Clock
    ) -> None:
        self._questions = questions
        self._state = state
        self._limits = limits
        self._clock = clock

    def begin(self, node: NodeProbe, checks: int, totals: Totals) -> Begun:
        """Ask what is always asked, and wait for nothing."""
        begin, name = self._questions.begin, node.name
        tasks: tuple[asyncio.Task[Any], ...] = (
            begin(_ready(name), node.unready),
            begin(_metrics(name), partial(_counts, node, totals)),
        )
        if checks:
            check = partial(node.canary, CANARY_COST, self._clock)
            tasks += tuple(begin(_canary(name, number), check) for number in range(checks))
        return Begun(node, tasks)

    def answers(self, begun: Begun) -> NodeAnswers:
        """The answers of a node of which all questions are settled."""
        take, name = self._questions.take, begun.node.name
        canary = tuple([take(_canary(name, n)) for n in range(begun.checks)]) if begun.checks else ()
        return _answers(take(_ready(name)), None, take(_metrics(name)), canary)

    async def finish(self, begun: Begun) -> NodeAnswers:
        """The answers of a node that has had the time of `patience`, and did not use it well."""
        limits, name = self._limits, begun.node.name
        frozen: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def rest(key: str, limit_s: float) -> Any:
            return await self._questions.wait(key, limit_s - limits.patience, frozen)

        async with asyncio.TaskGroup() as waiting:
            health = waiting.create_task(self._health(begun, frozen))
            unready = waiting.create_task(rest(_ready(name), limits.ready))
            counts = waiting.create_task(rest(_metrics(name), limits.metrics))
            canary = [waiting.create_task(rest(_canary(name, number), limits.canary)) for number in range(begun.checks)]
        return _answers(unready.result(), health.result(), counts.result(), tuple(one.result() for one in canary))

    async def freeze(self, member: str, answer: asyncio.Task[Any], frozen: asyncio.Future[None]) -> None:
        """Mark a member `frozen` that has not given its `answer` yet, if whoever runs it says that it is paused.

        Silence alone proves nothing, for a busy machine can feign it; nor does a pause that it answers through.
        """
        with contextlib.suppress(OperatorLabError, OSError, TimeoutError):  # then nobody knows
            async with asyncio.timeout(self._limits.paused):
                if await self._state(member) is MemberState.PAUSED and not answer.done():
                    frozen.set_result(None)

    async def _health(self, begun: Begun, frozen: asyncio.Future[None]) -> int | Silence | None:
        """Whether the node lives, unless it has proven that by telling whether it is ready."""
        if not begun.unready.done():
            await self.freeze(begun.node.name, begun.unready, frozen)
        if begun.unready.done() and not isinstance(begun.unready.result(), Silence):
            return None
        return await self._questions.ask(f"{begun.node.name}: health", begun.node.health, self._limits.health, frozen)


async def _counts(node: NodeProbe, totals: Totals) -> _Counted:
    """The counters of a node, and the totals that Redis told before they were asked for: perhaps for a reading ago."""
    before = await totals.before()
    return await node.counts(), before


def _answers(
    unready: str | Silence,
    health: int | Silence | None,
    counted: _Counted | Silence,
    canary: tuple[CanaryCheck | Silence, ...],
) -> NodeAnswers:
    counts, before = (counted, None) if isinstance(counted, Silence) else counted
    return NodeAnswers(unready, health, counts, canary, before)


@cache
def _ready(node: str) -> str:
    return f"{node}: ready"


@cache
def _metrics(node: str) -> str:
    return f"{node}: metrics"


def _canary(node: str, number: int) -> str:
    return f"{node}: canary {number}"
