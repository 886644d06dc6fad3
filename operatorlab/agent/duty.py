"""An operator on duty: it waits for incidents of a lab and works through them, one after the other."""

from __future__ import annotations

import asyncio
import contextlib

from operatorlab.agent.loop import Operator, SessionResult
from operatorlab.errors import TimedOut
from operatorlab.monitor.board import Board
from operatorlab.monitor.tickets import Refused

POLL_S = 0.25


class Duty:
    """Takes what the board has next. `stop` ends the wait, or the session under way as `killed`."""

    def __init__(self, board: Board, operator: Operator, *, poll_s: float = POLL_S) -> None:
        self._board = board
        self._operator = operator
        self._poll_s = poll_s
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End gracefully and soon. May be called from a signal handler of the loop."""
        self._stopping.set()
        self._operator.stop()

    async def next(self, wait_s: float | None = None) -> SessionResult | None:
        """Wait for an incident and work on it; None once stopped. TimedOut if none comes within `wait_s` seconds."""
        try:
            async with asyncio.timeout(wait_s) as waiting:
                while not self._stopping.is_set():
                    incident = self._board.next_incident()
                    if incident is None:
                        await self._pause()
                        continue
                    waiting.reschedule(None)
                    with contextlib.suppress(Refused):  # somebody else was faster
                        return await self._operator.handle(incident)
                    waiting.reschedule(None if wait_s is None else asyncio.get_running_loop().time() + wait_s)
        except TimeoutError:
            raise TimedOut(
                f"no incident within {wait_s:g} s",
                cause="nothing is broken, no monitor runs, or a person holds the tickets",
                next_step="operatorlab tickets; python -m operatorlab.monitor",
            ) from None
        return None

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                await self._stopping.wait()
