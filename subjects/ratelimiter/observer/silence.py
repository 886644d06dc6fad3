"""What a probe gets when it gets no answer, and the deadline every probe is under."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from enum import StrEnum

_OUR_OWN = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
"""Errors of a connection that are this machine's or this process's, not the other side's."""


class Kind(StrEnum):
    """Why there was no answer."""

    REFUSED = "refused"  # nobody listens there, or what listens there for it closes at once
    HUNG = "hung"  # not refused, but no answer by the deadline
    FROZEN = "frozen"  # no answer yet, and whoever runs it says that it is paused
    BROKEN = "broken"  # the connection ended before the answer did
    USELESS = "useless"  # an answer that tells nothing
    UNSEEN = "unseen"  # the observer could not look: this says nothing about the other side


class Silence(Exception):
    """No answer, of which kind and why."""

    def __init__(self, kind: Kind, why: str) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why


@contextlib.asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Bound what happens inside; raises Silence when the time is up."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Silence(Kind.HUNG, f"connections are not refused, but no answer came within {seconds:g} s") from None


def silence_of(trouble: BaseException, address: tuple[str, int]) -> Silence:
    """What a failed connection or a broken one means."""
    for cause in _causes(trouble):
        if isinstance(cause, ConnectionRefusedError):
            return Silence(Kind.REFUSED, f"refuses connections on {address[0]}:{address[1]}")
        if isinstance(cause, OSError) and cause.errno in _OUR_OWN:
            return Silence(Kind.UNSEEN, f"the observer could not connect: {cause.strerror}")
    text = str(trouble).splitlines()[:1]
    return Silence(Kind.BROKEN, f"broke the connection: {text[0][:200] if text else type(trouble).__name__}")


async def look_again(silence: Silence, address: tuple[str, int], greeting: bytes) -> Silence:
    """What a broken connection means once a fresh one was greeted.

    Something between may accept for a member that is gone, and close at once: nobody listens there either.
    """
    if silence.kind is Kind.BROKEN and await _closes_at_once(address, greeting):
        return Silence(Kind.REFUSED, f"closes connections at once on {address[0]}:{address[1]}")
    return silence


async def _closes_at_once(address: tuple[str, int], greeting: bytes) -> bool:
    """Whether a fresh connection ends before the first byte of an answer to `greeting`."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except ConnectionError:  # it was reset before this side knew that it was accepted
        return True
    except OSError:
        return False
    try:
        writer.write(greeting)
        return not await reader.read(1)
    except ConnectionError:
        return True
    finally:
        writer.close()


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
