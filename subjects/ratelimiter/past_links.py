"""Redis itself, past the links: for faults in it, and for whoever takes stock of what it holds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from operatorlab.errors import TimedOut
from operatorlab.subject import Deployment

WITHIN_S = 2.0
_AGAIN_S = 0.02


@contextlib.asynccontextmanager
async def asking(deployment: Deployment, password: str | None = None, db: int = 0) -> AsyncIterator[Redis]:
    """Redis itself, past the links; TimedOut if it does not answer. What it refuses raises redis.RedisError.

    One that was just started may not listen yet, and is waited for.
    """
    host, port = deployment.address("redis")
    async with Redis(
        host=host,
        port=port,
        db=db,
        password=password,
        retry=Retry(NoBackoff(), 0),  # a refusal is an answer
        decode_responses=True,
        protocol=2,
        driver_info=None,
    ) as redis:
        try:
            async with asyncio.timeout(WITHIN_S):
                await _replies(host, port)
                yield redis
        except TimeoutError as late:
            raise TimedOut(f"Redis did not answer within {WITHIN_S:g} s", cause="it is frozen or overloaded") from late


async def _replies(host: str, port: int) -> None:
    """Until it says anything at all, be it a refusal."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"PING\r\n")
                if await reader.read(1):
                    return
            finally:
                writer.close()
        await asyncio.sleep(_AGAIN_S)
