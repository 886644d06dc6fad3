"""The Messages API answered by a function in this process, over the SDK's own transport."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
from anthropic import AsyncAnthropic

Request = Mapping[str, Any]
Blocks = list[dict[str, Any]]
Answer = Callable[[Request], Blocks]
"""From a request's body to the content of the answer; must depend on nothing else."""


def offline_client(answer: Answer, model: str) -> AsyncAnthropic:
    """A client whose every request is answered by `answer`. An error in it comes back as HTTP 400 with its text."""

    def respond(http: httpx2.Request) -> httpx2.Response:
        request = json.loads(http.content)
        try:
            content = answer(request)
        except Exception as error:  # noqa: BLE001  whatever a procedure raises is told, as an endpoint would tell it
            return httpx2.Response(400, json=_error(f"{model} failed: {type(error).__name__}: {error}"))
        return httpx2.Response(200, json=_message(content, model, turn=len(request["messages"])))

    transport = httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
    return AsyncAnthropic(api_key="offline", base_url="http://offline.invalid", http_client=transport, max_retries=0)


def _message(content: Blocks, model: str, turn: int) -> dict[str, Any]:
    acts = any(block["type"] == "tool_use" for block in content)
    return {
        "id": f"msg_{model}_{turn}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "tool_use" if acts else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def _error(text: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": text}}
