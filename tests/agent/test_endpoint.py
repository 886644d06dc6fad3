"""Any server that speaks the Messages API will do: a real one, on loopback, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request

from operatorlab.agent import Claude, Outcome


@dataclass
class Endpoint:
    """A server that plays a small model; `seen` are the requests' headers and bodies."""

    url: str = ""
    seen: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/messages")
        async def messages(request: Request) -> dict[str, Any]:
            body = await request.json()
            self.seen.append((dict(request.headers), body))
            return _answer(body)

        return app


def _answer(body: dict[str, Any]) -> dict[str, Any]:
    last = body["messages"][-1]["content"]
    if isinstance(last, str):
        arguments: dict[str, Any] = {"command": "touch up", "reasoning": "it is missing"}
        content = {"type": "tool_use", "id": "t1", "name": "shell", "input": arguments}
    else:
        shown = last[0]["content"]
        heading = (shown if isinstance(shown, str) else shown[0]["text"]).splitlines()[0]
        arguments = {
            "outcome": "resolved",
            "blamed": ["service"],
            "kind": "data_loss",
            "mechanism": "gone",
            "evidence": [heading.split(" · ")[2]],
            "alternatives": [],
            "confidence": 1,
            "changed": ["made it"],
            "follow_ups": [],
        }
        content = {"type": "tool_use", "id": "t2", "name": "report", "input": arguments}
    # As sparse as servers that resemble the API are: no stop_sequence, a model it made up, half a usage.
    return {
        "id": "x",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [content],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 5, "output_tokens": 5},
    }


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    served = Endpoint()
    server = uvicorn.Server(uvicorn.Config(served.app(), port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110  uvicorn signals no event
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    served.url = f"http://127.0.0.1:{port}"
    yield served
    server.should_exit = True
    await serving


async def test_a_model_of_ones_own_repairs_over_http(watched: Any, endpoint: Endpoint) -> None:
    brain = Claude(model="my-own:7b", base_url=endpoint.url)
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.RESOLVED_VERIFIED
    assert [body["model"] for _, body in endpoint.seen] == ["my-own:7b"] * 2
    assert [len(body["messages"]) for _, body in endpoint.seen] == [1, 3]  # the whole conversation, each time
    assert {tool["name"] for tool in endpoint.seen[0][1]["tools"]} == {"shell", "report"}
    assert "cache_control" not in endpoint.seen[0][1]
    assert {(c["cost_usd"], c["priced_by"]) for c in watched.rows("select cost_usd, priced_by from model_calls")} == {
        (None, "unknown")
    }
    assert brain.label == f"my-own:7b at {endpoint.url}"


async def test_nobody_there_is_a_crash_with_its_cause(watched: Any) -> None:
    result = await watched.operator(Claude(base_url="http://127.0.0.1:9")).handle(watched.incident)
    assert result.outcome is Outcome.CRASHED
    assert "APIConnectionError" in (result.error or "")
