"""What happens to the processes of a lab, noticed as it happens: an end at once, a stop and a start within moments.

The kernel tells of an end (a pidfd becomes readable). Nobody is told of a stop but the parent, so that is read from
`/proc/<pid>/stat`, which costs microseconds; and who runs now is asked of the supervisor only while somebody is gone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import ExitStack

from operatorlab.deploy import proc
from operatorlab.subject import Change

_STOPPED = frozenset((b"t", b"T"))
_LOOK_S = 0.1
"""How often the kernel is asked whether a process is stopped."""
_ASK_S = 0.5
"""How often the supervisor is asked for those that are gone."""

Pids = Callable[[], Awaitable[Mapping[str, int]]]
"""Asks which process each member is now, by name; 0 or nothing for one that does not run."""


class _Watched:
    """One process, by descriptors that no other process of the same number can answer for. OSError if it is gone."""

    def __init__(self, pid: int) -> None:
        self._stack = ExitStack()
        ticks = proc.ticks(pid)
        self.pidfd = self._opened(os.pidfd_open(pid))
        self._stat = self._opened(os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC))
        if ticks is None or proc.ticks(pid) != ticks:
            self.close()
            raise ProcessLookupError(pid)
        self.stopped = self._is_stopped()

    def turned(self) -> bool:
        """Whether it was stopped, or went on, since the last call."""
        before, self.stopped = self.stopped, self._is_stopped()
        return before is not self.stopped

    def close(self) -> None:
        """Let go of it."""
        self._stack.close()

    def _is_stopped(self) -> bool:
        try:
            told = os.pread(self._stat, 512, 0)
        except OSError:  # it ended; the other descriptor says so
            return False
        return told.rpartition(b") ")[2][:1] in _STOPPED

    def _opened(self, descriptor: int) -> int:
        self._stack.callback(os.close, descriptor)
        return descriptor


class Watch:
    """The processes of the members `names`, followed while somebody asks for their changes."""

    def __init__(self, names: Collection[str], pids: Pids) -> None:
        self._names = frozenset(names)
        self._pids = pids
        self._watched: dict[str, _Watched] = {}
        self._told: list[Change] = []
        self._stirred = asyncio.Event()
        self._ask_at = 0.0

    async def changes(self) -> AsyncIterator[Change]:
        """Every change from now on. Raises what asking for the processes raises."""
        ticking = asyncio.get_running_loop().create_task(self._tick(), name="watching processes")
        try:
            await self._look_for_the_missing()
            while True:
                await self._stirred.wait()
                self._stirred.clear()
                told, self._told = self._told, []
                for change in told:
                    yield change
                for name in await self._look_for_the_missing():
                    yield Change(name, "a process of it runs")
        finally:
            ticking.cancel()
            for name in list(self._watched):
                self._drop(name)

    async def _tick(self) -> None:
        """Ask the kernel again and again: the quickest form of it, for most of the cost of watching is here."""
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_LOOK_S)
            for name, one in self._watched.items():
                if one.turned():
                    self._tell(name, "its process was stopped" if one.stopped else "its process goes on")
            if len(self._watched) < len(self._names) and now() >= self._ask_at:
                self._stirred.set()

    async def _look_for_the_missing(self) -> list[str]:
        """Begin to watch those that were gone and run now, if it is time to ask; their names."""
        missing, now = self._names - self._watched.keys(), asyncio.get_running_loop().time()
        if not missing or now < self._ask_at:
            return []
        self._ask_at = now + _ASK_S
        pids = await self._pids()
        return sorted(name for name in missing if pids.get(name) and self._take(name, pids[name]))

    def _take(self, name: str, pid: int) -> bool:
        try:
            self._watched[name] = one = _Watched(pid)
        except OSError:  # it ended meanwhile
            return False
        asyncio.get_running_loop().add_reader(one.pidfd, self._end, name)
        return True

    def _end(self, name: str) -> None:
        self._drop(name)
        self._ask_at = asyncio.get_running_loop().time() + _ASK_S
        self._tell(name, "its process ended")

    def _tell(self, name: str, what: str) -> None:
        self._told.append(Change(name, what))
        self._stirred.set()

    def _drop(self, name: str) -> None:
        one = self._watched.pop(name)
        asyncio.get_running_loop().remove_reader(one.pidfd)
        one.close()
