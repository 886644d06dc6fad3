"""Brains: the deterministic diagnostician, the baseline, and the refusals of the real model."""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from anthropic import BadRequestError

from operatorlab.agent import Claude, Operator, Outcome, noop, runbook
from operatorlab.agent.brains import make_brain
from operatorlab.errors import BareHostRefused, UnknownName, UserError
from operatorlab.monitor.tickets import TicketState
from operatorlab.procedure import Conclusion, Printed, Rejected, Step
from operatorlab.sandbox import LocalSandbox


def mend(incident: str) -> Generator[Step, Printed, Conclusion]:
    """A small procedure that decides by what it sees."""
    assert "invariant: service_down" in incident
    seen = yield Step("ls -A; exit 4", "Is the file there?")
    assert seen.exit_code == 4
    if "up" in seen.output.split():
        return Conclusion("no_action_needed", (), "none", "it is there", 0.5)
    made = yield Step("touch up && echo made >&2", "It is not: make it.")
    again = yield Step("ls -A", "Look again.")
    assert "made" in made.output
    outcome = "resolved" if "up" in again.output.split() else "escalated"
    rejected = (Rejected("a full disk", "the file could be made"),)
    return Conclusion(
        outcome, ("service",), "data_loss", "the file was gone", 0.8, ("made up",), rejected, ("ask why",)
    )


async def test_the_runbook_repairs_through_the_same_loop_as_a_model(watched: Any) -> None:
    result = await watched.operator(runbook(mend)).handle(watched.incident)
    assert result.outcome is Outcome.RESOLVED_VERIFIED
    assert result.cost_usd == 0
    assert result.report is not None
    assert result.report.blamed == ("service",)
    assert len(result.report.evidence) == 3
    calls = watched.rows("select model, cost_usd, priced_by, input_tokens from model_calls")
    assert len(calls) == 4
    assert {c["model"] for c in calls} == {"runbook"}
    assert {(c["cost_usd"], c["input_tokens"]) for c in calls} == {(0.0, 0)}
    assert watched.row("select brain, model from sessions") == {"brain": "runbook", "model": "runbook"}
    assert all(s.text.startswith("runbook: ") for s in watched.steps if s.kind == "thought")


def test_an_answer_is_a_pure_function_of_the_request() -> None:
    brain = runbook(mend)
    request = {"messages": [{"role": "user", "content": "invariant: service_down"}]}
    assert brain.answer(request) == runbook(mend).answer(json.loads(json.dumps(request))) == brain.answer(request)


async def test_a_procedure_that_fails_is_a_crash_with_its_cause(watched: Any) -> None:
    def broken(incident: str) -> Generator[Step, Printed, Conclusion]:
        yield Step("true", "first")
        raise KeyError("no such node")

    result = await watched.operator(runbook(broken)).handle(watched.incident)
    assert result.outcome is Outcome.CRASHED
    assert "KeyError: 'no such node'" in (result.error or "")
    assert BadRequestError.__name__ in (result.error or "")


async def test_a_procedure_whose_report_is_refused_ends_without_one(watched: Any) -> None:
    def wrong(incident: str) -> Generator[Step, Printed, Conclusion]:
        yield from ()
        return Conclusion("resolved", ("service",), "gremlins", "who knows", 2.0)

    result = await watched.operator(runbook(wrong)).handle(watched.incident)
    assert result.outcome is Outcome.CLAIMED_UNVERIFIED
    assert result.report is None
    assert result.turns == 3


async def test_the_baseline_runs_nothing_and_claims_nothing_it_has_not(watched: Any) -> None:
    result = await watched.operator(noop(), verify_s=0.5).handle(watched.incident)
    assert result.outcome is Outcome.CLAIMED_UNVERIFIED
    assert watched.rows("select * from commands") == []
    assert watched.board.tickets()[0].state is TicketState.OPEN


async def test_under_the_baseline_what_heals_by_itself_is_self_healed(watched: Any) -> None:
    (watched.root / "up").touch()
    result = await watched.operator(noop()).handle(watched.incident)
    assert result.outcome is Outcome.NO_ACTION_NEEDED
    assert watched.board.tickets()[0].state is TicketState.SELF_HEALED


def test_who_is_no_model_says_so() -> None:
    assert runbook(mend).label == "runbook (deterministic, not a model)"
    assert "not a model" in noop().label
    assert not runbook(mend).needs_isolation


def test_a_real_model_is_refused_on_a_bare_host(lab: Any) -> None:
    brain = Claude(api_key="k")
    with pytest.raises(BareHostRefused, match="allow-bare-host"):
        Operator(lab.store, lab.board, lab.sandbox, brain, briefing="")
    Operator(lab.store, lab.board, lab.sandbox, brain, briefing="", allow_bare_host=True)
    Operator(lab.store, lab.board, lab.sandbox, noop(), briefing="")


def test_a_real_model_may_act_behind_a_boundary(lab: Any, tmp_path: Path) -> None:
    class Boundary(LocalSandbox):
        isolated = True

    Operator(lab.store, lab.board, Boundary(tmp_path, {}), Claude(api_key="k"), briefing="")


async def test_a_missing_key_is_said_before_anything_is_recorded(lab: Any) -> None:
    with pytest.raises(UserError, match="export ANTHROPIC_API_KEY"):
        await lab.operator(Claude()).handle(lab.incident)
    assert lab.rows("select * from sessions") == []
    assert lab.board.tickets()[0].attempts == 0


def test_a_key_is_never_in_a_repr() -> None:
    assert "secret" not in repr(Claude(api_key="secret"))


def test_brains_by_name() -> None:
    environment = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://localhost:9"}
    brain = make_brain("claude", environment=environment)
    assert brain == Claude("claude-opus-5-5", "http://localhost:9", "k")
    assert make_brain("claude", model="m", base_url="http://other", environment={}) == Claude("m", "http://other", None)
    assert make_brain("noop").name == "noop"
    with pytest.raises(UnknownName, match="did you mean 'claude'"):
        make_brain("clade")
    with pytest.raises(UserError, match="no procedure"):
        make_brain("runbook")


def test_the_current_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "from-here")
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    assert make_brain("claude") == Claude(api_key=os.environ["ANTHROPIC_API_KEY"])
