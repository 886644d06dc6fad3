"""What the panels show, as plain values. Both the browser and the saved HTML draw from these.

Everything here is a pure function of what the lab publishes. Texts are made `visible` once, here, so
the JavaScript and the templates only place them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from operatorlab.subject import Node, NodeState, Observation
from operatorlab.text import fold, short, visible
from operatorlab.widgets.shapes import StepLike, TicketLike

SIGNS: Mapping[str, str] = {
    "up": "●",
    "degraded": "▲",
    "down": "✖",
    "unknown": "?",
    "open": "✖",
    "investigating": "▲",
    "verifying": "◆",
    "resolved": "●",
    "self_healed": "●",
    "escalated": "■",
    "resolved_verified": "●",
    "claimed_unverified": "▲",
    "no_action_needed": "▲",
    "good": "●",
}
"""A shape for each state, so that none is told by colour alone."""
_FACTS, _FACT_CHARS, _REASON_CHARS, _COMMAND_CHARS, _TEXT_CHARS = 4, 24, 200, 2000, 4000


@dataclass(frozen=True, slots=True)
class MemberRow:
    name: str
    role: str
    state: str
    sign: str
    reason: str
    facts: str


@dataclass(frozen=True, slots=True)
class TicketRow:
    id: str
    invariant: str
    component: str
    state: str
    sign: str
    message: str


@dataclass(frozen=True, slots=True)
class Spark:
    """A small line of the recent past: points for an SVG polyline in a 120 × 24 box, and what it says in words."""

    label: str
    words: str
    points: str


@dataclass(frozen=True, slots=True)
class ClientPoint:
    """What clients saw in one span: the share of requests answered (0..1), p99 in milliseconds."""

    answered: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class StepRow:
    """One line of the operator's story. A command and its result are one row."""

    kind: str
    text: str
    reasoning: str = ""
    status: str = ""
    first_line: str = ""
    head: str = ""
    hidden: int = 0
    tail: str = ""


def member_rows(nodes: Iterable[Node]) -> list[MemberRow]:
    """One row a member, in the subject's own order."""
    return [_member_row(node) for node in nodes]


def _member_row(node: Node) -> MemberRow:
    state = str(node.state)
    told = ((name, _scalar(value)) for name, value in node.facts.items())
    facts = " · ".join(f"{name} {value}" for name, value in [(n, v) for n, v in told if len(v) <= _FACT_CHARS][:_FACTS])
    reason = short(visible(node.reason), _REASON_CHARS)
    return MemberRow(visible(node.name), visible(node.role), state, SIGNS.get(state, "?"), reason, visible(facts))


def ticket_rows(tickets: Iterable[TicketLike]) -> list[TicketRow]:
    """One row a ticket."""
    return [
        TicketRow(
            visible(t.id),
            visible(t.invariant),
            visible(t.component),
            str(t.state),
            SIGNS.get(str(t.state), "?"),
            short(visible(t.message), _REASON_CHARS),
        )
        for t in tickets
    ]


def verdict(observation: Observation) -> str:
    """One sentence on how the members stand, and on what could not be seen."""
    states = [node.state for node in observation.nodes]
    counts = [f"{states.count(state)} {state}" for state in NodeState if state in states]
    blind = f" · blind to {len(observation.blind)} reading(s)" if observation.blind else ""
    return f"{len(states)} members: {', '.join(counts)}{blind}"


def sparks(samples: Sequence[ClientPoint]) -> list[Spark]:
    """Client success and latency of the last samples, oldest first; empty without samples."""
    answered = [s.answered for s in samples]
    p99 = [s.p99_ms for s in samples]
    found = []
    if any(value is not None for value in answered):
        now = next(value for value in reversed(answered) if value is not None)
        found.append(Spark("client success", f"{now:.1%} of requests answered", _points(answered, 1.0)))
    if any(value is not None for value in p99):
        now = next(value for value in reversed(p99) if value is not None)
        top = max(1.0, *(value for value in p99 if value is not None))
        found.append(Spark("client p99", f"{now:.0f} ms, highest {top:.0f} ms", _points(p99, top)))
    return found


def step_rows(steps: Iterable[StepLike], *, limit: int = 60) -> list[StepRow]:
    """The last `limit` rows; a result is shown with the command it belongs to, whatever came between."""
    rows: list[StepRow] = []
    running: dict[str, int] = {}
    for step in steps:
        if step.kind == "result" and step.command_id in running:
            place = running.pop(step.command_id)
            rows[place] = replace(rows[place], **_outcome(step))
            continue
        if step.kind == "command" and step.command_id is not None:
            running[step.command_id] = len(rows)
        rows.append(_row(step, said=rows[-1].text if rows else ""))
    return rows[-limit:]


def _row(step: StepLike, said: str) -> StepRow:
    if step.kind == "result":  # its command is no longer kept
        return replace(StepRow("command", ""), **_outcome(step))
    if step.kind == "command":
        reasoning = short(visible(step.reasoning), _TEXT_CHARS)
        if reasoning in said:  # the thought before it says it already
            reasoning = ""
        return StepRow("command", short(visible(step.text), _COMMAND_CHARS), reasoning, "running")
    return StepRow(str(step.kind), short(visible(step.text), _TEXT_CHARS))


def _outcome(step: StepLike) -> dict[str, Any]:
    from operatorlab.agent.shown import read_back

    ended = "timed out" if step.exit_code is None else f"exit {step.exit_code}"
    took = f" · {step.duration_s:.2f} s" if step.duration_s is not None else ""
    folded = fold(read_back(step.text)[0].output)
    first = short(folded.first_line, 100)
    return {
        "status": ended + took,
        "first_line": first,
        "head": folded.head,
        "hidden": folded.hidden,
        "tail": folded.tail,
    }


def _points(values: Sequence[float | None], top: float) -> str:
    """Polyline points in a 120 × 24 box with a margin of 2; gaps are bridged."""
    step = 116 / max(len(values) - 1, 1)
    seen = [(2 + i * step, 22 - 20 * min(v / top, 1.0)) for i, v in enumerate(values) if v is not None]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in seen)


def _scalar(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
