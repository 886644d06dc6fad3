"""What exists only while a lab runs: its parts, and the tasks behind them, whose failures reach whoever waits."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from operatorlab.audit import AuditStore
    from operatorlab.clients import Clients
    from operatorlab.deploy.base import LabDeployment
    from operatorlab.injection import Injections
    from operatorlab.monitor.board import Board
    from operatorlab.monitor.loop import Monitor

T = TypeVar("T")


@dataclass
class UnderWay:
    """One running lab."""

    store: AuditStore
    deployment: LabDeployment
    board: Board
    monitor: Monitor
    injections: Injections
    clients: Clients | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _told: set[asyncio.Task[None]] = field(default_factory=set)

    def background(self, work: Coroutine[Any, Any, None], what: str, stack: AsyncExitStack) -> None:
        """Do `work` until `stack` ends; what it failed with is raised then, unless somebody was told."""
        task = asyncio.create_task(work, name=f"{what} of {self.deployment.run_id}")
        self._tasks.append(task)
        stack.push_async_callback(self._end, task)

    async def guarded(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, but fail as soon as the monitor or the clients have failed."""
        wanted = asyncio.ensure_future(work)
        try:
            await asyncio.wait({wanted, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in self._tasks:
                if task.done():
                    self._told.add(task)
                    task.result()
            return await wanted
        finally:
            wanted.cancel()

    async def _end(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task not in self._told:
            task.result()
