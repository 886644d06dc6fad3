"""Questions that may outlive the reading that asked them.

A reading waits only so long for an answer. A question that is still open then is not taken back: it is
what the next reading waits for. So a node that needs 0.6 s for everything is slow, and answers; were its
probes dropped at every deadline, it would look dead. There is one open question of a kind at a time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from subjects.ratelimiter.observer.silence import Kind, Silence

_HELD_UP_S = 0.05
"""Waking up this much too late says that the observer itself did not get to run."""
_T = TypeVar("_T")


class Questions:
    """The open questions, by a name of the caller's. One that is open for longer than `give_up_s` is asked anew."""

    def __init__(self, give_up_s: float = math.inf) -> None:
        self._give_up_s = give_up_s
        self._open: dict[str, tuple[asyncio.Task[Any], float]] = {}
        """Each with when it was asked, by the clock of the event loop."""

    def begin(self, key: str, question: Callable[[], Awaitable[_T]]) -> asyncio.Task[_T | Silence]:
        """The question that is open under `key`, else `question`, asked now."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if key in self._open:
            task, since = self._open[key]
            if task.done() or now - since <= self._give_up_s:
                return task
            task.cancel()
        task = loop.create_task(_answer(question()))
        self._open[key] = task, now
        return task

    def take(self, key: str) -> Any:
        """The answer to a question that was answered; it is not open any more."""
        return self._open.pop(key)[0].result()

    async def ask(
        self, key: str, question: Callable[[], Awaitable[_T]], wait_s: float, frozen: asyncio.Future[None] | None = None
    ) -> _T | Silence:
        """The answer to the question that is open under `key`, else to `question`; a Silence if none came in time."""
        self.begin(key, question)
        answer: _T | Silence = await self.wait(key, wait_s, frozen)
        return answer

    async def wait(self, key: str, wait_s: float, frozen: asyncio.Future[None] | None = None) -> Any:
        """The answer to the question that is open under `key`; a Silence if none came in time.

        Once `frozen` is done, nothing is waited for: whoever should answer is known not to run.
        """
        task, due = self._open[key][0], asyncio.get_running_loop().time() + wait_s
        either: set[asyncio.Future[Any]] = {task, frozen} if frozen else {task}
        await asyncio.wait(either, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return self.take(key)
        if frozen and frozen.done():
            return Silence(Kind.FROZEN, "it does not answer, and its process is paused")
        late = asyncio.get_running_loop().time() - due
        if late > _HELD_UP_S:
            return Silence(Kind.UNSEEN, f"the observer itself was held up for {late:.2f} s")
        return Silence(Kind.HUNG, f"connections are not refused, but no answer came within {wait_s:g} s")

    async def drop(self) -> None:
        """Take back whatever is open."""
        tasks = [task for task, _ in self._open.values()]
        self._open.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(question: Awaitable[_T]) -> _T | Silence:
    """What a probe was told, or its silence as a value."""
    try:
        return await question
    except Silence as silence:
        return silence
