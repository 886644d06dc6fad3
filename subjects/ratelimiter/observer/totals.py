"""Redis' totals around the nodes' own counters: read before and after, so that what lies between is known.

Once for many nodes: after the counters of all that answer soon. One that answers later is read after by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from subjects.ratelimiter.observer.readings import NodeCounts
from subjects.ratelimiter.observer.redis_probe import RedisAnswer, RedisProbe
from subjects.ratelimiter.observer.silence import Silence

_GATHER_S = 0.05
"""How long the reading after waits for those that have not told their counters yet."""


class Totals:
    """The totals around one reading of the counters of `names`. `asked` is the reading before; each has `within_s`."""

    def __init__(
        self, redis: RedisProbe, names: Sequence[str], asked: asyncio.Task[RedisAnswer | Silence], within_s: float
    ) -> None:
        self._redis = redis
        self._names = names
        self._asked = asked
        self._within_s = within_s
        self._missing = len(names)
        self._all_came = asyncio.Event()
        self._begun = False
        self._after: Mapping[str, int] | None = None
        self._ended = asyncio.Event()

    async def around(self, name: str, ask: Callable[[], Awaitable[NodeCounts]]) -> NodeCounts:
        """The counters that `ask` gives, with the totals around them where Redis answers in time."""
        before = await self._before()
        try:
            counts = await ask()
        finally:
            in_time = self._come()
        after = None if before is None else await self._total_after(name, in_time=in_time)
        if before is None or after is None:  # worth having without; what compares them says that it cannot
            return counts
        return replace(counts, counted_before=before.get(name, 0), counted_after=after)

    async def _before(self) -> Mapping[str, int] | None:
        if not self._asked.done():
            await asyncio.wait({self._asked}, timeout=self._within_s)
        if not self._asked.done() or self._asked.cancelled():
            return None
        answer = self._asked.result()
        return answer.totals if isinstance(answer, RedisAnswer) else None

    def _come(self) -> bool:
        """Take note that another has told its counters, or will not; whether that was in time."""
        self._missing -= 1
        if self._missing == 0:
            self._all_came.set()
        return not self._begun

    async def _total_after(self, name: str, *, in_time: bool) -> int | None:
        with suppress(Silence):
            if not in_time:
                return (await self._redis.totals([name], self._within_s))[name]
            await self._ended.wait()
            return None if self._after is None else self._after[name]
        return None

    async def read_after(self) -> None:
        """Read the totals once more, as soon as that makes sense. Who waits for them is told whatever happens."""
        try:
            if await self._before() is None:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_GATHER_S):
                    await self._all_came.wait()
            self._begun = True
            with suppress(Silence):
                self._after = await self._redis.totals(self._names, self._within_s)
        finally:
            self._ended.set()
