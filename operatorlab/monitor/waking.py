"""When to look next: at the interval while all is quiet, sooner when something is announced or has just gone wrong.

`Pace` is pure. `Waking` follows whoever announces changes, and wakes the loop; it judges nothing. What cannot be
followed is tried again later and does no harm: there is always the interval.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

from operatorlab.monitor.tickets import Ticket
from operatorlab.subject import Announces, Change, Finding, Observation, Violation

BRISK_S = 0.1
"""From one look to the next while something unsettled is watched, unless the interval is shorter still."""
_BRISK_FOR_S = 10.0
"""Trouble that has not changed for so long is looked at no more often than health is."""
_BREATH_S = 0.03
"""The shortest pause between two looks, however many changes are announced."""
_AGAIN_S = 1.0
"""How soon an announcer that failed is tried again."""

Unwell = frozenset[tuple[str, ...]]
"""Everything that is not well, in a form that can be compared."""


def unwell(observation: Observation, findings: Iterable[Finding], live: Iterable[Ticket]) -> Unwell:
    """What is wrong, was not seen, or waits for its end; empty if all is well. Being undecided alone does not count."""
    found: set[tuple[str, ...]] = {(node.name, node.state) for node in observation.unwell}
    found |= {("blind", blind.what, blind.component) for blind in observation.blind}
    found |= {("broken", finding.fingerprint) for finding in findings if isinstance(finding, Violation)}
    found |= {(ticket.id, ticket.state, "holds" if ticket.holding_since else "") for ticket in live}
    return frozenset(found)


class Pace:
    """How long to wait for the next look: `interval_s`, or briskly for a while after what is wrong has changed."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._before: Unwell = frozenset()
        self._changed_at = 0.0

    def next_s(self, now: Unwell, monotonic: float) -> float:
        """Seconds to the next look after one at `monotonic` seconds that found `now`."""
        if now != self._before:
            self._before, self._changed_at = now, monotonic
        brisk = bool(now) and monotonic - self._changed_at < _BRISK_FOR_S
        return min(BRISK_S, self._interval_s) if brisk else self._interval_s


class Waking:
    """Follows announcers, each with a task of its own, and lets the loop wait for the next change."""

    def __init__(self, again_s: float = _AGAIN_S) -> None:
        self._again_s = again_s
        self._stirred = asyncio.Event()
        self._followed: dict[int, asyncio.Task[None]] = {}

    def follow(self, source: object) -> None:
        """Be woken by the changes of `source` from now on, if it announces any."""
        if isinstance(source, Announces) and id(source) not in self._followed:
            self._followed[id(source)] = asyncio.create_task(self._follow(source), name=f"changes of {source!r}")

    async def wait(self, at_most_s: float) -> bool:
        """Wait for a change, or for so long; whether there was one. One that came since the last call counts."""
        breath_s = min(_BREATH_S, at_most_s)
        await asyncio.sleep(breath_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s - breath_s):
                await self._stirred.wait()
        woken = self._stirred.is_set()
        self._stirred.clear()
        return woken

    async def close(self) -> None:
        """Follow nobody any more."""
        tasks, self._followed = list(self._followed.values()), {}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _follow(self, source: Announces) -> None:
        while True:
            # Another author's code: whatever it raises, the interval remains, and it is asked again.
            with suppress(Exception):
                await self._heed(source.changes())
            await asyncio.sleep(self._again_s)

    async def _heed(self, changes: AsyncIterator[Change]) -> None:
        async for _ in changes:
            self._stirred.set()
