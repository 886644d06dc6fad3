"""Copying bytes between two connections in constant memory: a slow reader makes its source wait."""

from __future__ import annotations

import asyncio
import contextlib
import select

BUFFERED = 128 * 1024
"""Bytes that one direction of a stream holds, about, before its source must wait."""
_CHUNK = 64 * 1024
_HANGUP_S = 1.0
_GONE = (ConnectionError, OSError)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until `reader` ends or one side is gone; then the other side is told that no more comes."""
    with contextlib.suppress(*_GONE):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(*_GONE, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


async def _until_gone(reader: asyncio.StreamReader) -> None:
    """Until the other side closes; what it still sends is for nobody."""
    with contextlib.suppress(*_GONE):
        while await reader.read(_CHUNK):
            pass


async def answer(source: asyncio.StreamReader, sink: asyncio.StreamWriter, asker: asyncio.StreamReader) -> None:
    """Pass `source` on to `sink` until it ends, or until the asker goes away."""
    down = asyncio.ensure_future(copy(source, sink))
    gone = asyncio.ensure_future(_until_gone(asker))
    try:
        await asyncio.wait((down, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(down, gone)


async def hijacked(
    daemon: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    asker: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    first: bytes,
) -> None:
    """Both ways, half-closes included, until the daemon ends its side; `first` goes to the daemon before the rest."""
    daemon[1].write(first)
    up = asyncio.ensure_future(_up(asker, daemon[1]))
    down = asyncio.ensure_future(copy(daemon[0], asker[1]))
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(up, down)


async def _up(asker: tuple[asyncio.StreamReader, asyncio.StreamWriter], daemon: asyncio.StreamWriter) -> None:
    """What is typed, to the daemon; then until the asker is gone and not only done with typing."""
    await copy(asker[0], daemon)
    hangup = select.poll()
    hangup.register(asker[1].get_extra_info("socket").fileno(), 0)
    while not hangup.poll(0):  # noqa: ASYNC110  a hang-up after a half-close wakes nobody in asyncio
        await asyncio.sleep(_HANGUP_S)


async def _end(*tasks: asyncio.Future[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
