"""The HTTP of a node. Routes only: what they do is in `node.py` and `limiter.py`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from subjects.ratelimiter.service import models
from subjects.ratelimiter.service.config import Key, NodeConfig
from subjects.ratelimiter.service.limiter import Count, RedisAway
from subjects.ratelimiter.service.logs import log, quoted
from subjects.ratelimiter.service.node import Node

_REFUSED = {"model": models.Problem, "description": "The request is not valid; `reason` says where."}
_AWAY = {"model": models.Problem, "description": "Redis did not answer in time, or refused."}
_RESPONSES: dict[int | str, dict[str, object]] = {422: _REFUSED, 503: _AWAY}
PathKey = Annotated[Key, Path()]


def create_app(node: Node) -> FastAPI:
    """The application of one node; its heartbeat runs while the application does."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with node.running():
            yield

    app = FastAPI(
        title=f"Rate limiter {node.config.name}",
        description="Sliding-window rate limiting, counted in one Redis that all nodes share.",
        version="1",
        lifespan=lifespan,
    )
    app.include_router(_checking(node))
    app.include_router(_probes(node))
    app.include_router(_reading(node))
    app.include_router(_changing(node))
    app.add_exception_handler(RequestValidationError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_plainly)
    app.add_exception_handler(RedisAway, _redis_away)
    return app


def _checking(node: Node) -> APIRouter:
    router = APIRouter(tags=["check"])

    @router.post("/check", responses=_RESPONSES, summary="Decide one request")
    async def check(request: models.CheckRequest) -> models.CheckAnswer:
        """Counts the request if there is room for it. A denied request is not counted."""
        return await node.check(request.key, request.cost)

    return router


def _probes(node: Node) -> APIRouter:
    router = APIRouter(tags=["probes"])

    @router.get("/health", summary="Does the process live?")
    async def health() -> models.Health:
        """Never touches Redis."""
        return models.Health(status="ok", node=node.config.name, uptime_s=round(node.uptime_s, 3))

    not_ready = {"model": models.Ready, "description": "It cannot; `reason` says why."}

    @router.get("/ready", summary="Can the node do its work?", response_model=models.Ready, responses={503: not_ready})
    async def ready() -> Response:
        """Writes the node's heartbeat to Redis, within the node's time-out for Redis."""
        reason = await node.ready()
        answer = models.Ready(status="not ready" if reason else "ready", node=node.config.name, reason=reason)
        return JSONResponse(answer.model_dump(), status_code=503 if reason else 200)

    if node.config.metrics:

        @router.get("/metrics", summary="For Prometheus", response_class=Response)
        async def metrics() -> Response:
            return Response(node.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _reading(node: Node) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["management"], responses={503: _AWAY})
    declared = node.limiter.declared

    @router.get("/nodes", summary="The node registry")
    async def nodes() -> models.Nodes:
        """Whoever has written a heartbeat, dead or alive."""
        oldest = 3 * node.config.heartbeat_s
        return models.Nodes(
            nodes=[
                models.Registered(
                    name=beat.node,
                    live=beat.age_s is not None and beat.age_s <= oldest,
                    age_s=beat.age_s,
                    facts=beat.facts,
                )
                for beat in await node.limiter.nodes()
            ]
        )

    @router.get("/counters", summary="The declared keys in the present window")
    async def counters() -> models.Counters:
        counted = await node.limiter.counts(declared.limits)
        return models.Counters(
            window_s=declared.window_s,
            counters=[_counter(count) for count in counted],
            totals=await node.limiter.totals(),
        )

    @router.get("/limits", summary="Declared limits and what was set on top")
    async def limits() -> models.Limits:
        return models.Limits(
            window_s=declared.window_s,
            default=declared.default,
            declared=declared.limits,
            overrides=await node.limiter.overrides(),
        )

    @router.get("/config", summary="What the node was told at its start")
    async def config() -> NodeConfig:
        """As its configuration file was then; the file may have changed since."""
        return node.config

    @router.get("/blocks", summary="The keys that are at their limit now")
    async def blocks() -> models.Blocks:
        return models.Blocks(blocked=[_counter(count) for count in await node.limiter.blocked()])

    return router


def _changing(node: Node) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["management"], responses=_RESPONSES)
    limiter = node.limiter

    @router.post("/counters/{key:path}/reset", summary="Forget the present window of a key")
    async def reset(key: PathKey) -> models.ResetDone:
        forgotten = await limiter.reset(key)
        log.info("counter reset: key=%s forgotten=%d", quoted(key), forgotten)
        return models.ResetDone(key=key, forgotten=forgotten)

    @router.put("/limits/{key:path}", summary="Set the limit of a key on all nodes")
    async def set_limit(key: PathKey, new: models.NewLimit) -> models.LimitSet:
        """Holds until it is deleted. The limits file is not changed."""
        await limiter.set_limit(key, new.limit)
        log.info("limit set: key=%s limit=%d", quoted(key), new.limit)
        return models.LimitSet(key=key, limit=new.limit, declared=limiter.declared.of(key), overridden=True)

    @router.delete("/limits/{key:path}", summary="Go back to the declared limit of a key")
    async def clear_limit(key: PathKey) -> models.LimitSet:
        """Works as well if there was nothing to delete."""
        if await limiter.clear_limit(key):
            log.info("limit back to what was declared: key=%s", quoted(key))
        back = limiter.declared.of(key)
        return models.LimitSet(key=key, limit=back, declared=back, overridden=False)

    return router


def _counter(count: Count) -> models.Counter:
    return models.Counter(
        key=count.key, count=count.count, limit=count.limit, declared=count.declared, overridden=count.overridden
    )


def _problem(status: int, error: str, reason: str) -> JSONResponse:
    return JSONResponse(models.Problem(error=error, reason=reason).model_dump(), status_code=status)


async def _refuse(_: Request, trouble: Exception) -> Response:
    """Names the place and the rule, and does not send the input back: it may be anything."""
    assert isinstance(trouble, RequestValidationError)
    reasons = (f"{quoted('.'.join(map(str, wrong['loc'])))}: {quoted(wrong['msg'])}" for wrong in trouble.errors())
    return _problem(422, "invalid_request", "; ".join(reasons))


async def _refuse_plainly(_: Request, trouble: Exception) -> Response:
    assert isinstance(trouble, HTTPException)
    return _problem(trouble.status_code, "refused", trouble.detail)


async def _redis_away(_: Request, trouble: Exception) -> Response:
    return _problem(503, "redis_unavailable", str(trouble))
