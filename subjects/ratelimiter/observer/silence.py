"""What a probe gets when it gets no answer, and the deadline every probe is under."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator

_HELD_UP_S = 0.05
"""A deadline that strikes this much too late says that the observer itself did not get to run."""
_OUR_OWN = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
"""Errors of a connection that are this machine's or this process's, not the other side's."""


class Silence(Exception):
    """No answer. `refused`: nobody listens there. `unseen`: the observer could not look, so it tells nothing."""

    def __init__(self, why: str, *, refused: bool = False, unseen: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.refused = refused
        self.unseen = unseen


@contextlib.asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Bound what happens inside; raises Silence when the time is up."""
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    try:
        async with asyncio.timeout_at(due):
            yield
    except TimeoutError:
        late = loop.time() - due
        if late > _HELD_UP_S:
            raise Silence(f"the observer itself was held up for {late:.2f} s", unseen=True) from None
        raise Silence(f"no answer within {seconds:g} s") from None


def silence_of(trouble: BaseException, address: tuple[str, int]) -> Silence:
    """What a failed connection or a broken one means."""
    for cause in _causes(trouble):
        if isinstance(cause, ConnectionRefusedError):
            return Silence(f"refuses connections on {address[0]}:{address[1]}", refused=True)
        if isinstance(cause, OSError) and cause.errno in _OUR_OWN:
            return Silence(f"the observer could not connect: {cause.strerror}", unseen=True)
    text = str(trouble).splitlines()[:1]
    return Silence(f"broke the connection: {text[0][:200] if text else type(trouble).__name__}")


def _causes(trouble: BaseException) -> list[BaseException]:
    """The exception and everything that led to it, also inside groups."""
    pending, found = [trouble], []
    while pending:
        one = pending.pop()
        if one in found:
            continue
        found.append(one)
        inner = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        pending += [cause for cause in (one.__cause__, one.__context__, *inner) if cause is not None]
    return found
