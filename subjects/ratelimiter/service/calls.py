"""HTTP calls as a table: each reads its body into a model, and answers with one. The OpenAPI page is made of it.

Starlette speaks HTTP and pydantic checks. What puts the two together for us (FastAPI) is most of the time a node takes
to start, and a lab starts three of them whenever it is made new.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from subjects.ratelimiter.service.config import Key
from subjects.ratelimiter.service.limiter import RedisAway
from subjects.ratelimiter.service.logs import quoted
from subjects.ratelimiter.service.models import Problem

_KEY: TypeAdapter[str] = TypeAdapter(Key)
_REFUSALS = {422: "The request is not valid; `reason` says where.", 503: "Redis did not answer in time, or refused."}
_Checked = TypeVar("_Checked")
Handler = Callable[[Request, Exception], Awaitable[Response]]


class Invalid(Exception):
    """A request that is not valid; the text names each place and rule. The input is not in it: it may be anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. `do` is given the key in the path, if there is one, and what was read, if it `reads` a body.

    Its docstring is the description. An answer that is no model is a Response; `refuses` are its other statuses,
    which come with a `refusal`.
    """

    method: str
    path: str
    summary: str
    do: Callable[..., Awaitable[BaseModel | Response]]
    reads: type[BaseModel] | None = None
    answers: type[BaseModel] | None = None
    refuses: tuple[int, ...] = ()
    refusal: type[BaseModel] = Problem

    @property
    def keyed(self) -> bool:
        """Whether there is a key in the path."""
        return "{key" in self.path

    def route(self) -> Route:
        """As Starlette takes it."""
        return Route(self.path, self._serve, methods=[self.method])

    async def _serve(self, request: Request) -> Response:
        given: list[object] = []
        if self.keyed:
            given.append(_checked("path.key", _KEY.validate_python, request.path_params["key"]))
        if self.reads:
            given.append(_checked("body", self.reads.model_validate_json, await request.body()))
        answer = await self.do(*given)
        return answer if isinstance(answer, Response) else as_json(answer)


def as_json(answer: BaseModel, status: int = 200) -> Response:
    """The answer over the wire."""
    return Response(answer.model_dump_json(), status, media_type="application/json")


def _checked(where: str, check: Callable[[Any], _Checked], given: object) -> _Checked:
    try:
        return check(given)
    except ValidationError as trouble:
        found = trouble.errors(include_url=False, include_context=False, include_input=False)
        reasons = (f"{quoted('.'.join(map(str, (where, *one['loc']))))}: {quoted(one['msg'])}" for one in found)
        raise Invalid("; ".join(reasons)) from None


# ── refusals ───────────────────────────────────────────────────────────────────────────────────


async def _refuse(_: Request, trouble: Exception) -> Response:
    return as_json(Problem(error="invalid_request", reason=str(trouble)), 422)


async def _refuse_plainly(_: Request, trouble: Exception) -> Response:
    assert isinstance(trouble, HTTPException)
    return as_json(Problem(error="refused", reason=trouble.detail), trouble.status_code)


async def _hung_up(_: Request, __: Exception) -> Response:
    """Nobody reads it."""
    return as_json(Problem(error="refused", reason="the client left before its request was read"), 400)


async def _redis_away(_: Request, trouble: Exception) -> Response:
    return as_json(Problem(error="redis_unavailable", reason=str(trouble)), 503)


HANDLERS: Mapping[Any, Handler] = {
    Invalid: _refuse,
    HTTPException: _refuse_plainly,
    ClientDisconnect: _hung_up,
    RedisAway: _redis_away,
}


# ── the page ───────────────────────────────────────────────────────────────────────────────────


def openapi(title: str, calls: Sequence[Call]) -> Route:
    """Serves what the calls are, as OpenAPI 3.1; made when somebody asks."""

    async def page(_: Request) -> Response:
        paths: dict[str, dict[str, object]] = {}
        for call in calls:
            paths.setdefault(call.path.replace(":path", ""), {})[call.method.lower()] = _operation(call)
        described = {"openapi": "3.1.0", "info": {"title": title, "version": "1"}, "paths": paths}
        return JSONResponse(described | {"components": {"schemas": _schemas(calls)}})

    return Route("/openapi.json", page)


def _operation(call: Call) -> dict[str, object]:
    answered = _content(call.answers) if call.answers else {}
    responses: dict[str, object] = {"200": {"description": "Done.", **answered}}
    for status in call.refuses:
        responses[str(status)] = {"description": _REFUSALS[status], **_content(call.refusal)}
    told: dict[str, object] = {"summary": call.summary, "responses": responses}
    if call.do.__doc__:
        told["description"] = call.do.__doc__
    if call.keyed:
        told["parameters"] = [{"name": "key", "in": "path", "required": True, "schema": _KEY.json_schema()}]
    if call.reads:
        told["requestBody"] = {"required": True, **_content(call.reads)}
    return told


def _content(model: type[BaseModel]) -> dict[str, object]:
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}}


def _schemas(calls: Iterable[Call]) -> dict[str, object]:
    found: dict[str, object] = {}
    for model in {model for call in calls for model in (call.reads, call.answers, call.refusal) if model}:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return dict(sorted(found.items()))
