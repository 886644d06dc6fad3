"""Reading what a command prints, in bounded memory: the head and the tail stay, the middle is counted."""

from __future__ import annotations

import asyncio
import os
from typing import cast


class HeadTail:
    """The first and the last bytes of a stream of any length.

    Holds at most `limit` bytes (and, between two trims, as much again).
    """

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        """Take what came next."""
        self._total += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:][-self._half :] if room > 0 else data[-self._half :]
        if len(self._tail) > 2 * self._half:
            del self._tail[: -self._half]

    @property
    def dropped(self) -> int:
        """Bytes that are in neither head nor tail."""
        return self._total - len(self._head) - min(len(self._tail), self._half)

    def text(self) -> str:
        """Head and tail as text, with a line between them that says how much is missing."""
        tail = bytes(self._tail[-self._half :])
        if not self.dropped:
            return (bytes(self._head) + tail).decode(errors="replace")
        head = bytes(self._head).decode(errors="replace")
        return f"{head}\n[… {self.dropped} bytes dropped …]\n{tail.decode(errors='replace')}"


class PipeReader(asyncio.Protocol):
    """Feeds a HeadTail from the read end of a pipe."""

    def __init__(self, kept: HeadTail) -> None:
        self.kept = kept
        self.ended = asyncio.get_running_loop().create_future()
        self._transport: asyncio.ReadTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        self.kept.add(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.close()


async def read_pipe(descriptor: int, limit: int) -> PipeReader:
    """Start to read the pipe `descriptor`, keeping at most `limit` bytes of it."""
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    _, reader = await asyncio.get_running_loop().connect_read_pipe(lambda: PipeReader(HeadTail(limit)), pipe)
    return reader
