"""Kept connections that the other end has ended, as news for whoever decides when to look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from operatorlab.subject import Change


class Breaks:
    """Collects the names of members until somebody asks; one that is told twice is told on once."""

    def __init__(self) -> None:
        self._members: set[str] = set()
        self._told = asyncio.Event()

    def tell(self, member: str) -> None:
        """A kept connection to `member` was ended from there."""
        self._members.add(member)
        self._told.set()

    async def changes(self) -> AsyncIterator[Change]:
        """Each break from now on."""
        while True:
            await self._told.wait()
            self._told.clear()
            members, self._members = self._members, set()
            for member in sorted(members):
                yield Change(member, "it ended a connection that was kept")
