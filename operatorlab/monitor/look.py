"""One look at a subject, under an overall deadline; what goes wrong becomes `LookFailed`.

Every part of a look has a deadline of its own inside the observer. This one is the last resort for an
observer that hangs, raises, or reports something that cannot be true.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from operatorlab.clock import Instant
from operatorlab.subject import Blind, Deployment, Member, Node, NodeState, Observation, Observer, Subject

_CLOSING_S = 0.3
_ENDING_S = 0.05
"""How long a cancelled look may take to end before the next cycle finds it still hanging."""


class LookFailed(Exception):
    """The subject could not be looked at; `str()` says why."""


class Looker:
    """Opens the subject's observer when first needed and takes one look at a time.

    Open, look and close from one task: an observer may use what is tied to the task that entered it.
    """

    def __init__(self, subject: Subject, deployment: Deployment, deadline_s: float) -> None:
        self._subject = subject
        self._deployment = deployment
        self._deadline_s = deadline_s
        self._opened = AsyncExitStack()
        self._observer: Observer | None = None
        self._running: asyncio.Task[Observation] | None = None
        self._newest: float | None = None

    @property
    def observer(self) -> Observer | None:
        """The observer that is open; None before the first look."""
        return self._observer

    async def look(self) -> Observation:
        """A fresh reading of every expected member. LookFailed if that cannot be had in time."""
        observer = self._observer or await self._open()
        if self._running is not None and not self._running.done():
            raise LookFailed("the look before this one still hangs")
        self._running = asyncio.ensure_future(observer.observe())
        await asyncio.wait({self._running}, timeout=self._deadline_s)
        if not self._running.done():
            self._running.cancel()
            await asyncio.wait({self._running}, timeout=_ENDING_S)
            raise LookFailed(f"no answer within {self._deadline_s:g} s")
        seen = self._plausible(_result(self._running))
        if not self._subject.healthy(seen) and (why := await self._deployment.trouble()):
            raise LookFailed(why)
        return seen

    async def close(self) -> str:
        """End the observer; what went wrong with that, or nothing. One that will not end is left behind."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running}, timeout=_CLOSING_S)
            if self._running.done() and not self._running.cancelled():
                self._running.exception()  # a look nobody waits for any more: its error has no reader
        self._observer, opened, self._opened = None, self._opened, AsyncExitStack()
        try:
            async with asyncio.timeout(_CLOSING_S):
                await opened.aclose()
        except Exception as trouble:  # noqa: BLE001  another author's code: told to whoever closes
            return f"the observer did not close: {_told(trouble)}"
        return ""

    async def _open(self) -> Observer:
        try:
            async with asyncio.timeout(self._deadline_s):
                self._observer = await self._opened.enter_async_context(self._subject.observer(self._deployment))
        except TimeoutError as late:
            raise LookFailed(f"the observer did not open within {self._deadline_s:g} s") from late
        except Exception as trouble:  # another author's code: whatever it raises, nothing was seen
            raise LookFailed(f"the observer did not open: {_told(trouble)}") from trouble
        return self._observer

    def _plausible(self, seen: Observation) -> Observation:
        """`seen`, if it can be a fresh reading of this subject."""
        if not isinstance(seen, Observation):
            raise LookFailed(f"the observer returned a {type(seen).__name__}, not an Observation")
        missing = {member.name for member in self._subject.members} - {node.name for node in seen.nodes}
        if missing:
            raise LookFailed(f"the observer said nothing about {', '.join(sorted(missing))}")
        if self._newest is not None and seen.monotonic <= self._newest:
            raise LookFailed("the observer returned an old reading")
        self._newest = seen.monotonic
        return seen


def blind_observation(members: tuple[Member, ...], at: Instant, duration_s: float, why: str) -> Observation:
    """What is known when nothing could be seen: every member unknown, and blind to each."""
    return Observation(
        at=at.at,
        monotonic=at.monotonic,
        duration_s=duration_s,
        nodes=tuple(Node(m.name, m.role, NodeState.UNKNOWN, reason=why) for m in members),
        blind=tuple(Blind("everything", m.name, why) for m in members),
    )


def _result(task: asyncio.Task[Observation]) -> Observation:
    if task.cancelled():
        raise LookFailed("the look was cancelled from inside")
    trouble = task.exception()
    if trouble is not None:
        raise LookFailed(f"the observer raised {_told(trouble)}") from trouble
    return task.result()


def _told(trouble: BaseException) -> str:
    return f"{type(trouble).__name__}: {trouble}" if str(trouble) else type(trouble).__name__
