"""Redis' totals around the nodes' own counters: read before and after, so that what lies between is known.

Before: of all nodes at once, with whatever else a reading asks of Redis. After: of many at once, when theirs have come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from subjects.ratelimiter.observer.redis_probe import RedisAnswer, RedisProbe
from subjects.ratelimiter.observer.silence import Silence


class Totals:
    """The totals around the counters of one reading. `asked` is the reading before; each has `within_s`."""

    def __init__(self, redis: RedisProbe, asked: asyncio.Task[RedisAnswer | Silence], within_s: float) -> None:
        self._redis = redis
        self._asked = asked
        self._within_s = within_s
        self._due = asyncio.get_running_loop().time() + within_s
        self._before: Mapping[str, int] | None = None
        self.after: dict[str, int] = {}
        """What was read after, by node."""

    async def before(self) -> Mapping[str, int] | None:
        """What was read before; None if Redis has not told that in time."""
        if self._before is not None:
            return self._before
        if not self._asked.done() and (left_s := self._due - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait({self._asked}, timeout=left_s)
        if not self._asked.done() or self._asked.cancelled():
            return None
        answer = self._asked.result()
        self._before = answer.totals if isinstance(answer, RedisAnswer) else None
        return self._before

    async def read_after(self, nodes: Sequence[str]) -> None:
        """Read those of `nodes`, whose counters have come. A Redis that told nothing before is not asked again."""
        if nodes and await self.before() is not None:
            with suppress(Silence):
                self.after.update(await self._redis.totals(nodes, self._within_s))
