"""A lab in miniature: a folder in which the file `up` must exist, a real store and board, and a small monitor."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anthropic import AsyncAnthropic
from anthropic.types.beta import BetaMessage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from operatorlab.agent import Budget, Operator, Step
from operatorlab.agent.prices import Price, price_of
from operatorlab.audit import AuditStore
from operatorlab.clock import SystemClock
from operatorlab.monitor.board import Board
from operatorlab.monitor.tickets import Policy
from operatorlab.sandbox import LocalSandbox
from operatorlab.subject import Violation

RUN = "mini-aaaaaa"
QUICK = Policy(hold_s=0.1, settle_s=0.3, backoff_s=0.1, lease_s=5.0)


@dataclass
class MiniLab:
    """Where `up` is missing, the service is down."""

    store: AuditStore
    root: Path
    policy: Policy = QUICK
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.board = Board(self.store, RUN, self.policy)
        self.sandbox = LocalSandbox(self.root, {"PATH": os.environ["PATH"]})

    def look(self) -> None:
        """One cycle of the monitor."""
        seen = SystemClock().now()
        down = Violation("service_down", "service", "the file `up` is missing", evidence={"file": "up"})
        self.board.judge([] if (self.root / "up").exists() else [down], [], seen)

    async def watch(self) -> None:
        """The monitor."""
        while True:
            self.look()
            await asyncio.sleep(0.05)

    @property
    def incident(self) -> str:
        return self.board.tickets()[-1].incident

    def operator(self, brain: Any, **changes: Any) -> Operator:
        options: dict[str, Any] = {
            "verify_s": 5.0,
            "briefing": "A service. It is up if the file `up` exists.",
        } | changes
        return Operator(
            self.store, self.board, self.sandbox, brain, on_step=self.steps.append, allow_bare_host=True, **options
        )

    def row(self, sql: str) -> dict[str, Any]:
        (row,) = self.store.rows(sql)
        return row

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.store.rows(sql)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[MiniLab]:
    """A lab with one open ticket."""
    root = tmp_path / "lab"
    root.mkdir()
    with AuditStore(tmp_path / "audit.db", environment={}) as store:
        store.begin_run(RUN, "mini", "processes", str(root))
        lab = MiniLab(store, root)
        lab.look()
        yield lab
        assert store.verify().ok


@pytest.fixture
async def watched(lab: MiniLab) -> AsyncIterator[MiniLab]:
    """The same, with its monitor running."""
    watching = asyncio.create_task(lab.watch())
    yield lab
    watching.cancel()
    await asyncio.wait([watching])


Reply = httpx2.Response | Callable[[dict[str, Any]], httpx2.Response]


def message(*content: dict[str, Any], stop: str | None = None, **usage: int) -> httpx2.Response:
    """An answer of the Messages API."""
    acts = any(block["type"] == "tool_use" for block in content)
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5",
        "content": list(content),
        "stop_reason": stop or ("tool_use" if acts else "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 100} | usage,
    }
    return httpx2.Response(200, json=body)


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def call(name: str, _id: str = "toolu_1", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": _id, "name": name, "input": arguments}


def shell(command: str, _id: str = "toolu_1", reasoning: str = "to see") -> dict[str, Any]:
    return call("shell", _id, command=command, reasoning=reasoning)


def report(outcome: str = "resolved", **changes: Any) -> dict[str, Any]:
    filled = {
        "outcome": outcome,
        "blamed": ["service"],
        "kind": "crash",
        "mechanism": "the file was gone",
        "evidence": [],
        "alternatives": [{"cause": "a full disk", "why_rejected": "df shows room"}],
        "confidence": 0.9,
        "changed": ["made the file"],
        "follow_ups": [],
    }
    return call("report", "toolu_report", **(filled | changes))


def error(status: int, kind: str, said: str) -> httpx2.Response:
    body = {"type": "error", "error": {"type": kind, "message": said}}
    return httpx2.Response(status, json=body, headers={"retry-after-ms": "1"})


class Scripted:
    """A brain that says what it was given to say, over the SDK's own transport, and keeps what it was asked."""

    name = "scripted"
    model = "claude-opus-5-5"
    label = "scripted"
    needs_isolation = True

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.asked: list[dict[str, Any]] = []

    def client(self) -> AsyncAnthropic:
        def answer(request: httpx2.Request) -> httpx2.Response:
            self.asked.append(json.loads(request.content))
            reply = self._replies.pop(0)
            return reply(self.asked[-1]) if callable(reply) else reply

        transport = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
        return AsyncAnthropic(api_key="test", base_url="http://scripted.invalid", http_client=transport)

    def parameters(self) -> dict[str, Any]:
        return {}

    def price(self, answer: BetaMessage, at: datetime) -> Price:
        return price_of(answer, at)

    def results(self) -> list[dict[str, Any]]:
        """The tool results that the last request ended with."""
        content: list[dict[str, Any]] = self.asked[-1]["messages"][-1]["content"]
        return content


def citing(outcome: str = "resolved", **changes: Any) -> Callable[[dict[str, Any]], httpx2.Response]:
    """A report that cites the command whose result came last."""

    def answer(request: dict[str, Any]) -> httpx2.Response:
        heading = _result_text(request["messages"][-1]["content"][-1]).splitlines()[0]
        return message(report(outcome, evidence=[heading.split(" · ")[2]], **changes))

    return answer


def _result_text(block: dict[str, Any]) -> str:
    content = block["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@dataclass(frozen=True)
class Kit:
    """The builders, for tests that want them (test files import nothing from each other)."""

    Scripted = Scripted
    message = staticmethod(message)
    text = staticmethod(text)
    call = staticmethod(call)
    shell = staticmethod(shell)
    report = staticmethod(report)
    citing = staticmethod(citing)
    error = staticmethod(error)
    result_text = staticmethod(_result_text)
    Budget = Budget

    def kinds(self, steps: Sequence[Step]) -> list[str]:
        return [step.kind.value for step in steps]


@pytest.fixture
def kit() -> Kit:
    return Kit()


@dataclass
class Endpoint:
    """A server that plays a small model: it runs `command`, then claims that all is well.

    `seen` are the requests' headers and bodies.
    """

    url: str = ""
    command: str = "touch up"
    seen: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def app(self) -> Starlette:
        async def messages(request: Request) -> Response:
            body = await request.json()
            self.seen.append((dict(request.headers), body))
            return JSONResponse(_answer(body, self.command))

        return Starlette(routes=[Route("/v1/messages", messages, methods=["POST"])])


def _answer(body: dict[str, Any], command: str) -> dict[str, Any]:
    last = body["messages"][-1]["content"]
    if isinstance(last, str):
        arguments: dict[str, Any] = {"command": command, "reasoning": "it is missing"}
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
async def endpoint(serving) -> AsyncIterator[Endpoint]:
    served = Endpoint()
    async with serving(served.app()) as served.url:
        yield served
