"""The guard's decisions in the audit: each is there before anything follows from it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from operatorlab.audit import AuditStore
from operatorlab.errors import AuditError
from operatorlab.sandbox.guard.lab import Lab

T = TypeVar("T")
_SHOWN = 300


class Record:
    """Writes from a thread of its own: a busy audit file makes one request wait, not the streams of others."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._store: AuditStore | None = None

    async def __aenter__(self) -> Self:
        self._store = await self._run(lambda: AuditStore(self._lab.audit))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._store is not None:
            await self._run(self._store.close)
        self._thread.shutdown()

    async def allowed(self, method: str, path: str, target: str) -> None:
        """A request goes on. Raises AuditError."""
        await self._append("guard.allowed", {"method": method, "path": path, "target": target})

    async def refused(self, method: str, path: str, target: str, why: str) -> None:
        """A request does not go on."""
        await self._append("guard.refused", {"method": method, "path": path, "target": target, "why": why})

    async def _append(self, kind: str, payload: dict[str, str]) -> None:
        store = self._store
        assert store is not None
        shown = {name: text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…" for name, text in payload.items()}
        await self._run(lambda: store.append(kind, shown, run=self._lab.run, session=self._lab.session))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as wrong:  # such as a run that the audit does not know
            raise AuditError(f"the audit takes no event of {self._lab.run}: {wrong}") from wrong
