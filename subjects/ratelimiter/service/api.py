"""The HTTP of a node. Calls only: what they do is in `node.py` and `limiter.py`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

from starlette.applications import Starlette
from starlette.responses import Response

from subjects.ratelimiter.service import models
from subjects.ratelimiter.service.calls import HANDLERS, Call, as_json, openapi
from subjects.ratelimiter.service.config import Told
from subjects.ratelimiter.service.limiter import Count
from subjects.ratelimiter.service.logs import log, quoted
from subjects.ratelimiter.service.node import Node


def create_app(node: Node) -> Starlette:
    """The application of one node; its heartbeat runs while the application does."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with node.running():
            yield

    calls = [*_checking(node), *_probes(node), *_reading(node), *_changing(node)]
    routes = [*(call.route() for call in calls), openapi(f"Rate limiter {node.config.name}", calls)]
    return Starlette(routes=routes, exception_handlers=HANDLERS, lifespan=lifespan)


def _checking(node: Node) -> Iterator[Call]:
    async def check(request: models.CheckRequest) -> models.CheckAnswer:
        """Counts the request if there is room for it. A denied request is not counted."""
        return await node.check(request.key, request.cost)

    yield Call(
        method="POST", path="/check", summary="Decide one request", do=check,
        reads=models.CheckRequest, answers=models.CheckAnswer, refuses=(422, 503),
    )  # fmt: skip


def _probes(node: Node) -> Iterator[Call]:
    async def health() -> models.Health:
        """Never touches Redis."""
        return models.Health(status="ok", node=node.config.name, uptime_s=round(node.uptime_s, 3))

    async def ready() -> Response:
        """Writes the node's heartbeat to Redis, within the node's time-out for Redis."""
        reason = await node.ready()
        answer = models.Ready(status="not ready" if reason else "ready", node=node.config.name, reason=reason)
        return as_json(answer, 503 if reason else 200)

    async def metrics() -> Response:
        return Response(node.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    yield Call(method="GET", path="/health", summary="Does the process live?", do=health, answers=models.Health)
    yield Call(
        method="GET", path="/ready", summary="Can the node do its work?", do=ready,
        answers=models.Ready, refuses=(503,), refusal=models.Ready,
    )  # fmt: skip
    if node.config.metrics:
        yield Call(method="GET", path="/metrics", summary="For Prometheus", do=metrics)


def _reading(node: Node) -> Iterator[Call]:
    limiter, declared, oldest = node.limiter, node.limiter.declared, 3 * node.config.heartbeat_s

    async def nodes() -> models.Nodes:
        """Whoever has written a heartbeat, dead or alive."""
        return models.Nodes(
            nodes=[
                models.Registered(
                    name=beat.node,
                    live=beat.age_s is not None and beat.age_s <= oldest,
                    age_s=beat.age_s,
                    facts=beat.facts,
                )
                for beat in await limiter.nodes()
            ]
        )

    async def counters() -> models.Counters:
        counted = [_counter(count) for count in await limiter.counts(declared.limits)]
        return models.Counters(window_s=declared.window_s, counters=counted, totals=await limiter.totals())

    async def limits() -> models.Limits:
        return models.Limits(
            window_s=declared.window_s,
            default=declared.default,
            declared=declared.limits,
            overrides=await limiter.overrides(),
        )

    async def config() -> Told:
        """As its file and its variables were then; the file may have changed since."""
        return Told(**node.config.model_dump(), window_s=declared.window_s, default=declared.default)

    async def blocks() -> models.Blocks:
        return models.Blocks(blocked=[_counter(count) for count in await limiter.blocked()])

    for path, summary, do, answers in (
        ("/api/nodes", "The node registry", nodes, models.Nodes),
        ("/api/counters", "The declared keys in the present window", counters, models.Counters),
        ("/api/limits", "Declared limits and what was set on top", limits, models.Limits),
        ("/api/config", "What the node was told at its start", config, Told),
        ("/api/blocks", "The keys that are at their limit now", blocks, models.Blocks),
    ):
        yield Call(method="GET", path=path, summary=summary, do=do, answers=answers, refuses=(503,))


def _changing(node: Node) -> Iterator[Call]:
    limiter = node.limiter

    async def reset(key: str) -> models.ResetDone:
        forgotten = await limiter.reset(key)
        log.info("counter reset: key=%s forgotten=%d", quoted(key), forgotten)
        return models.ResetDone(key=key, forgotten=forgotten)

    async def set_limit(key: str, new: models.NewLimit) -> models.LimitSet:
        """Holds until it is deleted. The limits file is not changed."""
        await limiter.set_limit(key, new.limit)
        log.info("limit set: key=%s limit=%d", quoted(key), new.limit)
        return models.LimitSet(key=key, limit=new.limit, declared=limiter.declared.of(key), overridden=True)

    async def clear_limit(key: str) -> models.LimitSet:
        """Works as well if there was nothing to delete."""
        if await limiter.clear_limit(key):
            log.info("limit back to what was declared: key=%s", quoted(key))
        back = limiter.declared.of(key)
        return models.LimitSet(key=key, limit=back, declared=back, overridden=False)

    yield Call(
        method="POST", path="/api/counters/{key:path}/reset", summary="Forget the present window of a key", do=reset,
        answers=models.ResetDone, refuses=(422, 503),
    )  # fmt: skip
    yield Call(
        method="PUT", path="/api/limits/{key:path}", summary="Set the limit of a key on all nodes", do=set_limit,
        reads=models.NewLimit, answers=models.LimitSet, refuses=(422, 503),
    )  # fmt: skip
    yield Call(
        method="DELETE", path="/api/limits/{key:path}", summary="Go back to the declared limit of a key",
        do=clear_limit, answers=models.LimitSet, refuses=(422, 503),
    )  # fmt: skip


def _counter(count: Count) -> models.Counter:
    return models.Counter(
        key=count.key, count=count.count, limit=count.limit, declared=count.declared, overridden=count.overridden
    )
