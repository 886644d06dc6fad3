"""Decisions: one atomic script in Redis for each, within a deadline, with no retries of its own.

A call that fails costs the caller at most `redis_timeout_s` and leaves no connection half used, so the
next call after Redis or the path is back works at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError

from subjects.ratelimiter.service import scripts
from subjects.ratelimiter.service.config import DeclaredLimits, NodeConfig

_REFUSED = f"Error {errno.ECONNREFUSED} connecting"  # redis-py keeps the cause in its text only
_CODES: Mapping[type[Exception], str] = {ReadOnlyError: "READONLY", OutOfMemoryError: "OOM"}
"""What Redis calls these refusals. redis-py makes classes of them, and takes the word out of the text."""
_KEYS_SHOWN = 1000
_DIGITS = 19  # of the largest number Redis counts to


class RedisAway(Exception):
    """Redis did not do what was asked; the text says why, in words fit for a log and a client."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What Redis said to one check."""

    allowed: bool
    limit: int
    remaining: int
    retry_after_s: float | None  # None: never under this limit


@dataclass(frozen=True, slots=True)
class Count:
    """How a key stands in the present window."""

    key: str
    count: int
    limit: int
    declared: int
    overridden: bool


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One entry of the node registry. `age_s` by the clock of Redis; `facts` as that node wrote them."""

    node: str
    age_s: float | None
    facts: dict[str, object]


class Limiter:
    """The shared counters, as one node sees them. Every method raises RedisAway, after telling `on_failure`."""

    def __init__(self, config: NodeConfig, declared: DeclaredLimits, on_failure: Callable[[RedisAway], None]) -> None:
        self.declared = declared
        self._config = config
        self._on_failure = on_failure
        pool = BlockingConnectionPool(
            max_connections=config.redis_connections,
            timeout=None,
            host=config.redis_host,
            port=config.redis_port,
            db=config.redis_db,
            socket_timeout=None,
            socket_connect_timeout=None,  # the deadline of the call covers both
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            encoding_errors="backslashreplace",
            protocol=2,
            driver_info=None,
            client_name=config.name,
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._window_us = round(declared.window_s * 1_000_000)
        self._boot = f"{config.name}:{secrets.token_hex(4)}"
        self._checks = 0
        self._started_at = time.time()
        self._decide = self._redis.register_script(scripts.DECIDE)
        self._count = self._redis.register_script(scripts.COUNT)
        self._heartbeat = self._redis.register_script(scripts.HEARTBEAT)

    async def decide(self, key: str, cost: int) -> Decision:
        """Count a request of `key` that weighs `cost`, if there is room for it."""
        self._checks += 1
        member = f"{self._boot}:{self._checks}"
        args = (key, self.declared.of(key), self._window_us, cost, member, self._config.name, self._own_time_us())
        keys = (scripts.WINDOW_PREFIX + key, scripts.LIMITS, scripts.TOTALS)
        allowed, limit, remaining, wait_us = await self._run(self._decide, keys, args)
        return Decision(allowed == 1, limit, remaining, None if wait_us < 0 else wait_us / 1_000_000)

    async def beat(self) -> None:
        """Say in the registry that this node is there. A write, so it proves that Redis takes writes."""
        about = self._config
        facts = {"host": about.host, "port": about.port, "pid": os.getpid(), "started_at": self._started_at}
        await self._run(self._heartbeat, (scripts.NODES,), (about.name, json.dumps(facts)))

    async def leave(self) -> None:
        """Take this node out of the registry."""
        async with self._deadline():
            await self._redis.hdel(scripts.NODES, self._config.name)

    async def nodes(self) -> list[Heartbeat]:
        """The registry, whatever is in it, by name."""
        async with self._deadline():
            written = _texts(await self._redis.hgetall(scripts.NODES))
            seconds, micros = await self._redis.time()
        now = seconds + micros / 1_000_000
        return [_heartbeat(node, text, now) for node, text in written.items()]

    async def counts(self, keys: Iterable[str]) -> list[Count]:
        """How each of `keys` stands."""
        async with self._deadline():
            return [await self._count_of(key) for key in keys]

    async def _count_of(self, key: str) -> Count:
        declared = self.declared.of(key)
        names = (scripts.WINDOW_PREFIX + key, scripts.LIMITS)
        count, limit, overridden, _ = await self._count(names, (key, declared, self._window_us))
        return Count(key, count, limit, declared, overridden == 1)

    async def totals(self) -> dict[str, int]:
        """Requests allowed by each node since Redis began to count."""
        async with self._deadline():
            written = _texts(await self._redis.hgetall(scripts.TOTALS))
        return {node: count for node, text in written.items() if isinstance(count := _number(text), int)}

    async def blocked(self) -> list[Count]:
        """The keys that are at their limit now, at most a thousand looked at."""
        keys: list[str] = []
        async with self._deadline():
            async for name in self._redis.scan_iter(match=f"{scripts.WINDOW_PREFIX}*", count=500):
                keys.append(name.removeprefix(scripts.WINDOW_PREFIX))
                if len(keys) == _KEYS_SHOWN:
                    break
        return [count for count in await self.counts(sorted(keys)) if count.count >= count.limit]

    async def overrides(self) -> dict[str, int | str]:
        """The limits set at run time; a text where no number is written."""
        async with self._deadline():
            written = _texts(await self._redis.hgetall(scripts.LIMITS))
        return {key: _number(text) for key, text in written.items()}

    async def set_limit(self, key: str, limit: int) -> None:
        """Override the declared limit of `key` on all nodes."""
        async with self._deadline():
            await self._redis.hset(scripts.LIMITS, key, str(limit))

    async def clear_limit(self, key: str) -> bool:
        """Go back to the declared limit of `key`; whether there was an override."""
        async with self._deadline():
            return bool(await self._redis.hdel(scripts.LIMITS, key))

    async def reset(self, key: str) -> int:
        """Forget the present window of `key`; how many requests were in it."""
        name = scripts.WINDOW_PREFIX + key
        async with self._deadline(), self._redis.pipeline(transaction=True) as together:
            together.zcard(name)
            together.delete(name)
            counted, _ = await together.execute()
        return int(counted)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._redis.aclose()

    def _own_time_us(self) -> int | str:
        """What this node takes the time to be; nothing if Redis is to say."""
        if self._config.clock == "redis":
            return ""
        return round((time.time() + self._config.clock_offset_s) * 1_000_000)

    async def _run(self, script: AsyncScript, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        async with self._deadline():
            return await script(keys, args)

    @contextlib.asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        """Bound what happens inside by `redis_timeout_s`, and put what goes wrong into words."""
        try:
            async with asyncio.timeout(self._config.redis_timeout_s):
                yield
        except (TimeoutError, RedisError, OSError) as trouble:
            away = RedisAway(f"redis: {self._why(trouble)}")
            self._on_failure(away)
            raise away from trouble

    def _why(self, trouble: Exception) -> str:
        if isinstance(trouble, TimeoutError):
            return f"timeout after {self._config.redis_timeout_s:g} s"
        said = (str(trouble) or type(trouble).__name__).splitlines()[0][:200]
        if said.startswith(_REFUSED):
            return "connection refused"
        code = _CODES.get(type(trouble), "")
        return said if code in said else f"{code} {said}"


def _number(text: str) -> int | str:
    """The whole number that Redis holds as `text`; the text itself if it holds something else."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else text


def _texts(written: Mapping[bytes | str, bytes | str]) -> dict[str, str]:
    """A hash as the client decoded it, by key."""
    return {str(key): str(value) for key, value in sorted(written.items())}


def _heartbeat(node: str, text: str, now: float) -> Heartbeat:
    try:
        facts = json.loads(text)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        return Heartbeat(node, None, {"unreadable": text[:200]})
    at = facts.get("at")
    return Heartbeat(node, round(now - at, 3) if isinstance(at, int | float) else None, facts)
