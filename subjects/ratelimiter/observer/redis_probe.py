"""Asking Redis directly, past the links the nodes use. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, BusyLoadingError, RedisError, ResponseError

from subjects.ratelimiter.limits import DECLARED, WINDOW_S
from subjects.ratelimiter.observer.readings import KeyWindow, RedisReading
from subjects.ratelimiter.observer.silence import Kind, Silence, deadline, look_again, silence_of
from subjects.ratelimiter.service import scripts

_REFUSALS = (ResponseError, AuthenticationError, AuthorizationError, BusyLoadingError)
"""Errors that Redis itself sent: it lives. The client library counts some of them as broken connections."""


@dataclass(frozen=True, slots=True)
class RedisAnswer:
    """What Redis said. It answered, if only to refuse: then `reading` or `totals` is None and `refusal` says why."""

    reading: RedisReading | None
    totals: Mapping[str, int] | None
    refusal: str = ""
    version: str = ""
    uptime_s: int = 0


class RedisProbe:
    """Redis at its address. Each question has a deadline in seconds and raises Silence if it gets no answer."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._redis: Redis = Redis(
            host=address[0],
            port=address[1],
            protocol=2,
            driver_info=None,
            decode_responses=True,
            encoding_errors="backslashreplace",
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=None,  # each question has a deadline that covers both
        )

    async def look(self, within_s: float) -> RedisAnswer:
        """Everything a reading needs of Redis, in one round trip."""
        async with deadline(within_s):
            try:
                replies = await self._ask()
            except Silence as silence:
                if silence.kind is not Kind.BROKEN:
                    raise
                replies = await self._ask_anew()  # a kept connection whose other end has gone: try a new one
        refusals = [str(reply) for reply in replies if isinstance(reply, Exception)]
        if refusals:
            return RedisAnswer(None, None, refusals[0].splitlines()[0][:200])
        try:
            return _read(replies)
        except (ValueError, KeyError) as trouble:
            return RedisAnswer(None, None, f"unreadable: {type(trouble).__name__}: {trouble}"[:200])

    async def totals(self, nodes: Sequence[str], within_s: float) -> Mapping[str, int]:
        """Requests Redis counted as allowed by each of `nodes`."""
        async with deadline(within_s):
            try:
                told = await cast("Any", self._redis.hmget(scripts.TOTALS, nodes))
                return {node: int(total or 0) for node, total in zip(nodes, told, strict=True)}
            except (RedisError, OSError, ValueError) as trouble:
                raise silence_of(trouble, self._address) from trouble

    async def close(self) -> None:
        """Let go of every connection."""
        await self._redis.aclose()

    async def _ask_anew(self) -> list[Any]:
        try:
            return await self._ask()
        except Silence as silence:
            raise await look_again(silence, self._address, b"PING\r\n") from silence

    async def _ask(self) -> list[Any]:
        """The replies in order; an exception in place of one that was refused."""
        window_us = round(WINDOW_S * 1_000_000)
        async with self._redis.pipeline(transaction=False) as together:
            together.ping()
            together.info("server")
            together.hgetall(scripts.TOTALS)
            together.hkeys(scripts.NODES)
            for key, declared in DECLARED.items():
                names = (scripts.WINDOW_PREFIX + key, scripts.LIMITS)
                together.eval(scripts.COUNT, len(names), *names, key, declared, window_us)
            try:
                return await together.execute(raise_on_error=False)
            except _REFUSALS as refusal:
                return [refusal]
            except (RedisError, OSError) as trouble:
                raise silence_of(trouble, self._address) from trouble


def _read(replies: Sequence[Any]) -> RedisAnswer:
    """The answer to the questions of `_ask`; ValueError or KeyError if somebody wrote nonsense into Redis."""
    _, info, totals, registered, *windows = replies
    keys = {
        key: KeyWindow(int(count), int(limit), int(ahead) / 1_000_000)
        for key, (count, limit, _, ahead) in zip(DECLARED, windows, strict=True)
    }
    counted = {str(node): int(total) for node, total in totals.items()}
    reading = RedisReading(str(info["run_id"]), keys, tuple(sorted(str(name)[:100] for name in registered)))
    return RedisAnswer(reading, counted, "", str(info["redis_version"]), int(info["uptime_in_seconds"]))
