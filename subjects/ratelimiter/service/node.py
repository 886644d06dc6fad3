"""One node: its limiter, its metrics, its policy when Redis is away, and its heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from subjects.ratelimiter.service.answers import Answers
from subjects.ratelimiter.service.config import DeclaredLimits, NodeConfig
from subjects.ratelimiter.service.limiter import Limiter, RedisAway
from subjects.ratelimiter.service.logs import Sparing, log, quoted
from subjects.ratelimiter.service.metrics import NodeMetrics, Outcome
from subjects.ratelimiter.service.models import CheckAnswer
from subjects.ratelimiter.service.traces import Traces


class Node:
    """Everything behind the HTTP of one node."""

    def __init__(self, config: NodeConfig, declared: DeclaredLimits) -> None:
        self.config = config
        self.metrics = NodeMetrics(config.name)
        self.limiter = Limiter(config, declared, self._redis_failed)
        self._started = time.monotonic()
        self._ready: bool | None = None
        self._kept = Answers(config.cache_s)
        self._traces = Traces(config.trace_kb)
        self._errors = Sparing(every_s=5.0)
        self._denials = Sparing(every_s=10.0)

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self._started

    async def check(self, key: str, cost: int) -> CheckAnswer:
        """Decide; with Redis away, allow if the policy says so, else raise RedisAway."""
        if kept := self._kept.find(key):
            self._decided(key, Outcome.ALLOWED if kept.allowed else Outcome.DENIED, 0.0)
            return kept
        began = time.perf_counter()
        try:
            decision = await self.limiter.decide(key, cost)
        except RedisAway:
            allow = self.config.on_redis_error == "allow"
            outcome = Outcome.ALLOWED_WITHOUT_REDIS if allow else Outcome.DENIED_WITHOUT_REDIS
            self._decided(key, outcome, time.perf_counter() - began)
            if not allow:
                raise
            return CheckAnswer(allowed=True, limit=None, remaining=None, retry_after_s=0.0, node=self.config.name)
        outcome = Outcome.ALLOWED if decision.allowed else Outcome.DENIED
        self._decided(key, outcome, time.perf_counter() - began)
        if not decision.allowed:
            self._tell_denied(key, decision.limit)
        answer = CheckAnswer(
            allowed=decision.allowed,
            limit=decision.limit,
            remaining=decision.remaining,
            retry_after_s=decision.retry_after_s,
            node=self.config.name,
        )
        self._kept.keep(key, answer)
        return answer

    async def ready(self) -> str:
        """Why the node cannot do its work; empty if it can. Writes its heartbeat to find out."""
        try:
            await self.limiter.beat()
        except RedisAway as away:
            self._set_ready(ready=False, why=str(away))
            return str(away)
        self._set_ready(ready=True)
        return ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Beats until the context ends, then takes the node out of the registry."""
        log.info(
            "%s on %s:%d, redis at %s:%d, on redis error: %s",
            self.config.name,
            self.config.host,
            self.config.port,
            self.config.redis_host,
            self.config.redis_port,
            self.config.on_redis_error,
        )
        beating = asyncio.create_task(self._beat_for_ever())
        try:
            yield
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating
            await self._leave()

    async def _beat_for_ever(self) -> None:
        while True:
            await self.ready()
            await asyncio.sleep(self.config.heartbeat_s)

    async def _leave(self) -> None:
        try:
            await self.limiter.leave()
        except RedisAway as away:
            log.warning("not taken out of the registry: %s", away)
        await self.limiter.close()
        log.info("%s stopped", self.config.name)

    def _decided(self, key: str, outcome: Outcome, took_s: float) -> None:
        self.metrics.decided(outcome, took_s)
        self._traces.keep(key, outcome)

    def _redis_failed(self, away: RedisAway) -> None:
        self.metrics.redis_failed()
        held = self._errors.admit(str(away))
        if held is not None:
            log.error("%s; policy: %s%s", away, self.config.on_redis_error, _more(held))

    def _set_ready(self, *, ready: bool, why: str = "") -> None:
        self.metrics.set_ready(ready)
        if ready is not self._ready:
            self._ready = ready
            log.log(20 if ready else 40, "ready" if ready else f"not ready: {why}")

    def _tell_denied(self, key: str, limit: int) -> None:
        held = self._denials.admit(key)
        if held is not None:
            log.info("over its limit: key=%s limit=%d%s", quoted(key), limit, _more(held))


def _more(held: int) -> str:
    return f" ({held} more like this since the last line)" if held else ""
