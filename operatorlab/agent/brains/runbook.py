"""A deterministic diagnostician in a model's place. It is not a model, and says so wherever it appears.

It plays a subject's `Procedure`. Each answer is a pure function of the request: the procedure is run from its
start and fed what the conversation's commands printed; what it yields next is the answer. It knows what the
request says and nothing else.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from datetime import datetime
from typing import Any

from anthropic import AsyncAnthropic
from anthropic.types.beta import BetaMessage

from operatorlab.agent.brains.offline import Blocks, Request, offline_client
from operatorlab.agent.prices import FREE, Price
from operatorlab.agent.shown import read_back
from operatorlab.procedure import Conclusion, Printed, Procedure, Step


class ProcedureBrain:
    """Plays a procedure over the Messages API."""

    needs_isolation = False

    def __init__(self, procedure: Procedure, *, name: str, label: str) -> None:
        self.name = self.model = name
        self.label = label
        self._procedure = procedure

    def __repr__(self) -> str:
        return f"<{self.label}>"

    def client(self) -> AsyncAnthropic:
        """A client that is answered in this process."""
        return offline_client(self.answer, self.model)

    def parameters(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def price(self, message: BetaMessage, at: datetime) -> Price:
        """Nothing."""
        return FREE

    def answer(self, request: Request) -> Blocks:
        """The content of the next message."""
        incident = _text(request["messages"][0]["content"])
        results = list(_results(request["messages"]))
        refused = [text for name, text, is_error in results if name == "report" and is_error]
        if refused:
            return [_said(f"{self.name}: my report was not accepted, and I cannot write another: {refused[-1]}")]
        ran = [read_back(text) for name, text, _ in results if name == "shell"]
        following = _replay(self._procedure(incident), [printed for printed, _ in ran])
        number = len(results) + 1
        if isinstance(following, Step):
            asked = {"command": following.command, "reasoning": following.reasoning}
            return [_said(f"{self.name}: {following.reasoning}"), _call("shell", asked, number)]
        evidence = [command_id for _, command_id in ran if command_id is not None]
        return [_said(f"{self.name}: {following.mechanism}"), _call("report", _report(following, evidence), number)]


def runbook(procedure: Procedure) -> ProcedureBrain:
    """The offline default: the subject's own diagnostician."""
    return ProcedureBrain(procedure, name="runbook", label="runbook (deterministic, not a model)")


def _replay(playing: Generator[Step, Printed, Conclusion], printed: list[Printed]) -> Step | Conclusion:
    try:
        following = next(playing)
        for one in printed:
            following = playing.send(one)
    except StopIteration as done:
        conclusion = done.value
        assert isinstance(conclusion, Conclusion), "a procedure must return a Conclusion"
        return conclusion
    finally:
        playing.close()
    return following


def _results(messages: list[Mapping[str, Any]]) -> Iterator[tuple[str, str, bool]]:
    """Of each tool call that was answered: the tool's name, the answer's text, whether it was an error."""
    names: dict[str, str] = {}
    for message in messages:
        content = message["content"]
        for block in content if isinstance(content, list) else []:
            if block["type"] == "tool_use":
                names[block["id"]] = block["name"]
            elif block["type"] == "tool_result":
                yield names[block["tool_use_id"]], _text(block.get("content", "")), bool(block.get("is_error"))


def _text(content: str | list[Mapping[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(block["text"] for block in content if block["type"] == "text")


def _said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _call(tool: str, arguments: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": tool, "input": dict(arguments)}


def _report(conclusion: Conclusion, evidence: list[str]) -> dict[str, Any]:
    return {
        "outcome": conclusion.outcome,
        "blamed": list(conclusion.blamed),
        "kind": conclusion.kind,
        "mechanism": conclusion.mechanism,
        "evidence": evidence,
        "alternatives": [{"cause": r.cause, "why_rejected": r.why} for r in conclusion.rejected],
        "confidence": conclusion.confidence,
        "changed": list(conclusion.changed),
        "follow_ups": list(conclusion.follow_ups),
        "spread": [{"cause": cause, "effect": effect} for cause, effect in conclusion.spread],
    }
