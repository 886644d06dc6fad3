"""Evidence made by hand, a home of one's own, and proof that no trial leaves a process behind."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from eval.evidence import (
    CallSeen,
    CommandSeen,
    Ended,
    Evidence,
    FaultSeen,
    Inventory,
    Item,
    Moment,
    Sample,
    SessionSeen,
    TicketSeen,
    Times,
    Timing,
    Trial,
    Window,
)  # fmt: skip
from eval.scenario import Broken, Scenario
from eval.variant import Variant
from operatorlab.agent.report import Report
from operatorlab.subject import FaultKind, GroundTruth


@pytest.fixture(autouse=True)
def at_home(own_home: Path) -> None:
    """Every test has a home of its own."""


START = datetime(2026, 1, 1, tzinfo=UTC)
TRUTH = GroundTruth("node-2", FaultKind.CRASH, "it was killed")


def at(seconds: float) -> Moment:
    """`seconds` after the beginning of a trial."""
    return Moment(at=START + timedelta(seconds=seconds), mono=seconds)


class Maker:
    """Makes evidence of a trial that went well; what a test is about is changed."""

    at = staticmethod(at)

    def trial(self, *, number: int = 0, variant: str = "runbook", **changes) -> Trial:
        scenario = Scenario("ratelimiter", parts=(Broken("node_crash", "node-2"),), **changes)
        return Trial(
            id=f"{number:012x}", number=number, scenario=scenario, variant=Variant(name=variant), repeat=0,
            timing=Timing(),
        )  # fmt: skip

    def inventory(self, **changes: str) -> Inventory:
        """Three nodes and a Redis; `node_2="running 9@1"` and the like change an item, "" removes it."""
        items = {
            "process/node-1": Item(owner="node-1", value="running 1@1.00"),
            "process/node-2": Item(owner="node-2", value="running 2@1.00"),
            "process/redis": Item(owner="redis", value="running 4@1.00"),
            "file/etc/limits.json": Item(owner="", value="aaaa"),
            "setting/redis/maxmemory": Item(owner="redis", value="0"),
        }
        for name, value in changes.items():
            items |= {name: Item(owner=items[name].owner if name in items else "", value=value)}
        items = {name: item for name, item in items.items() if item.value}
        return Inventory(at=at(5), items=items, totals={"redis/allowed": 100.0})

    def command(self, text: str = "supervisorctl start node-2", exit_code: int = 0) -> CommandSeen:
        return CommandSeen(id="C1", command=text, started=at(4), duration_s=0.2, exit_code=exit_code, timed_out=False)

    def session(self, *commands: CommandSeen, outcome: str = "resolved_verified", **report: object) -> SessionSeen:
        said = {"outcome": "resolved", "blamed": ["node-2"], "kind": "crash", "mechanism": "it was killed",
                "evidence": ["C1"], "confidence": 1.0} | report  # fmt: skip
        call = CallSeen(model="m", duration_s=0.1, input_tokens=10, output_tokens=5, cache_read_tokens=0,
                        cache_write_tokens=0, cost_usd=0.25, error=None)  # fmt: skip
        return SessionSeen(
            id="S1", brain="runbook", model="runbook", outcome=outcome, error=None,
            report=Report.model_validate(said), started=at(3.5), ended=at(6), turns=2, commands=commands, calls=(call,),
        )  # fmt: skip

    def fault(self, **changes: object) -> FaultSeen:
        known = {"name": "node_crash", "target": "node-2", "truth": TRUTH, "expected": ("node_down/node-2",)}
        seen = {"self_healing": False, "fixable": True, "injected": at(2), "active": False, "healed": True}
        return FaultSeen(**(known | seen | changes))  # type: ignore[arg-type]

    def samples(self, *errors: int, every_s: float = 1.0) -> tuple[Sample, ...]:
        """Of 30 requests a second, so many failed."""
        return tuple(
            Sample(mono=second * every_s, span_s=every_s, sent=30, allowed=30 - lost, denied=0, errors=lost, p99_s=0.01)
            for second, lost in enumerate(errors)
        )

    def evidence(self, **changes) -> Evidence:
        """A crash of node-2 at 2 s, noticed at 3 s, repaired by one command at 4 s, verified at 6 s, held until 8 s."""
        fields = {
            "trial": self.trial(), "ended": Ended.FINISHED, "error": None, "host": None, "run": "r",
            "times": Times(started=at(0), reset=at(1), healthy=at(1.5), injected=at(2), symptom=at(2), ticket=at(3),
                           command=at(4), report=at(5), verified=at(6), held=at(8), checked=at(8.5), ended=at(9)),
            "faults": (self.fault(),),
            "tickets": (TicketSeen(id="T1", incident="I", invariant="node_down", component="node-2", state="resolved",
                                   opened=at(3), closed=at(6)),),
            "sessions": (self.session(self.command()),),
            "samples": self.samples(0, 0, 10, 10, 10, 0, 0, 0),
            "before": self.inventory(),
            "after": self.inventory(**{"process/node-2": "running 9@4.00"}),
            "window": Window(held=True, looks=5, broken=(), undecided=(), down=()),
            "broken_before": ("node_down/node-2",), "down_before": ("node-2",), "chain": "9:ff",
        }  # fmt: skip
        return Evidence(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def make() -> Maker:
    return Maker()


@dataclass
class Messages:
    """A server that speaks the Messages API: `answer` makes an answer's content from a request, and it keeps those."""

    url: str = ""
    answer: Callable[[dict[str, Any]], list[dict[str, Any]]] = lambda _: []
    seen: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> Starlette:
        async def messages(request: Request) -> Response:
            body = await request.json()
            self.seen.append(body)
            content = self.answer(body)
            acts = any(block["type"] == "tool_use" for block in content)
            return JSONResponse({
                "id": "x", "type": "message", "role": "assistant", "model": body["model"], "content": content,
                "stop_reason": "tool_use" if acts else "end_turn", "usage": {"input_tokens": 5, "output_tokens": 5},
            })  # fmt: skip

        return Starlette(routes=[Route("/v1/messages", messages, methods=["POST"])])


@pytest.fixture
async def messages(serving) -> AsyncIterator[Messages]:
    served = Messages()
    async with serving(served.app()) as served.url:
        yield served
