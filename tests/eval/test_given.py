"""What a variant gives reaches its operator, and the evidence tells what arrived: by the audit, not by the variant."""

import os
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from eval.evidence import SessionSeen
from eval.harvest import sessions_in
from eval.story import tell
from eval.variant import Variant, make
from operatorlab.agent import Operator
from operatorlab.audit import AuditStore
from operatorlab.clock import SystemClock
from operatorlab.monitor.board import Board
from operatorlab.sandbox import LocalSandbox
from operatorlab.subject import Violation
from subjects.ratelimiter.subject import RateLimiter

Work = Callable[..., Awaitable[SessionSeen]]


def _call(number: int, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"t{number}", "name": name, "input": arguments}


def _look_destroy_and_hand_over(body: dict[str, Any]) -> list[dict[str, Any]]:
    """What each operator does here: a long look, a destructive command, and a report."""
    turn = len(body["messages"]) // 2
    return [
        [_call(1, "shell", command="seq 2000", reasoning="to see")],
        [_call(2, "shell", command="rm -rf precious", reasoning="to tidy up")],
        [
            _call(
                3, "report", outcome="escalated", blamed=[], kind="none", mechanism="no idea", evidence=[],
                alternatives=[], confidence=0, changed=[], follow_ups=[],
            )
        ],
    ][turn]  # fmt: skip


@pytest.fixture
def work(tmp_path: Path, messages) -> Work:
    """Lets the operator of a variant work on an incident; what the evidence says of its session."""
    messages.answer = _look_destroy_and_hand_over
    rooms = iter(range(100))

    async def work(**given: Any) -> SessionSeen:
        room = tmp_path / str(next(rooms))
        (room / "precious").mkdir(parents=True)
        variant = Variant.model_validate({"name": "x", "brain": "claude", "endpoint": messages.url} | given)
        with AuditStore(room / "audit.db", environment={}) as store:
            store.begin_run("r", "mini", "processes", str(room))
            board = Board(store, "r")
            board.judge([Violation("service_down", "service", "it is down")], [], SystemClock().now())
            operator = Operator(
                store, board, LocalSandbox(room, {"PATH": os.environ["PATH"]}), make(variant, RateLimiter()),
                briefing="A service.", instructions=variant.instructions(), budget=variant.limits(),
                gate=variant.gate, verify_s=0.1, allow_bare_host=True,
            )  # fmt: skip
            await operator.handle(board.tickets()[0].incident)
            (session,) = sessions_in(store)
        assert session.outcome == "escalated", session.error
        assert (room / "precious").exists() is bool(session.refused)
        return session

    return work


@pytest.mark.parametrize(
    ("given", "differs"),
    [
        ({"effort": "low"}, {"parameters"}),
        ({"prompt": "Look at the links first."}, {"system", "instructions"}),
        ({"prompt": {"text": "You are slow.", "replace": True}}, {"system", "instructions"}),
        ({"hints": ["node-1 is old"]}, {"system", "hints"}),
        ({"hints": False}, {"system", "briefing"}),
        ({"tools": {"shown_chars": 400}}, {"limits"}),
        ({"tools": {"command_s": 7}}, {"limits", "system", "instructions"}),  # the operator is told of it
        ({"gate": "deny_destructive"}, {"gate", "system", "instructions"}),  # and of this
    ],
)
async def test_two_variants_differ_where_they_say_and_nowhere_else(work: Work, given, differs):
    plain, other = await work(), await work(**given)
    assert plain.equipped is not None
    assert other.equipped is not None
    one, two = plain.equipped.model_dump(), other.equipped.model_dump()
    assert {name for name in one if one[name] != two[name]} == differs
    assert len(other.refused) == (1 if "gate" in given else 0)


async def test_the_evidence_tells_what_arrived(work: Work, messages):
    session = await work(effort="low", prompt="Be {careful}.", hints={"briefing": False, "lines": ["it is old"]},
                         tools={"command_s": 7, "shown_chars": 400}, gate="deny_destructive")  # fmt: skip
    equipped = session.equipped
    assert equipped is not None
    for body in messages.seen:
        assert sha256(body["system"].encode()).hexdigest() == equipped.system
        assert body["output_config"]["effort"] == equipped.effort == "low"
        assert "Be {careful}." in body["system"]
        assert "A service." not in body["system"]
        assert body["system"].endswith("- it is old")
    shown = messages.seen[1]["messages"][-1]["content"][0]["content"]
    assert len(shown if isinstance(shown, str) else shown[0]["text"]) < 700
    assert equipped.limits["shown_chars"] == 400
    (refused,) = session.refused
    assert (refused.command, refused.doing) == ("rm -rf precious", "destructive")
    assert [command.command for command in session.commands] == ["seq 2000"]


async def test_the_story_of_a_trial_tells_what_ran(work: Work, make, tmp_path: Path):
    session = await work(effort="low", hints=["it is old"], gate="deny_destructive")
    told = tell(make.evidence(sessions=(session,)), tmp_path)
    assert "effort low, the briefing, 1 hint, gate deny_destructive, 20 s a command, 12000 characters shown" in told
    assert "[destructive] refused   $ rm -rf precious" in told


async def test_a_frame_has_a_column_of_what_ran(work: Work, make):
    from eval.frames import trial_row
    from eval.score import score

    evidence = make.evidence(sessions=(await work(effort="low", gate="deny_destructive"),))
    row = trial_row(evidence, score(evidence))
    assert (row["brain"], row["effort"], row["gate"], row["refused"]) == ("claude", "low", "deny_destructive", 1)
    bare = make.evidence(sessions=())
    assert trial_row(bare, score(bare))["effort"] is None
