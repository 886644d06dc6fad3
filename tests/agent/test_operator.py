"""Sessions over the SDK's real transport, with a real board, store and shell."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from operatorlab.agent import Budget, Outcome
from operatorlab.agent.prompts import REMINDER
from operatorlab.monitor.tickets import Refused, TicketState


async def test_a_repair_that_the_monitor_confirms_is_resolved(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(
        kit.message(kit.text("I look first."), kit.shell("ls -A")),
        kit.message(kit.shell("touch up", reasoning="the file is missing")),
        kit.citing(),
    )
    result = await watched.operator(brain).handle(watched.incident)

    assert result.outcome is Outcome.RESOLVED_VERIFIED
    assert result.error is None
    assert result.turns == 3
    assert [t.state for t in watched.board.tickets()] == [TicketState.RESOLVED]
    commands = watched.rows("select * from commands order by id")
    assert [(c["command"], c["exit_code"]) for c in commands] == [("ls -A", 0), ("touch up", 0)]
    assert result.report is not None
    assert result.report.evidence == (commands[-1]["id"],)
    session = watched.row("select * from sessions")
    assert (session["outcome"], session["turns"], session["input_tokens"]) == ("resolved_verified", 3, 3000)
    assert json.loads(session["report"])["mechanism"] == "the file was gone"
    assert kit.kinds(watched.steps) == ["thought", "command", "result", "command", "result", "report", "outcome"]
    assert [e.payload for e in watched.store.events(kinds=["thought"])] == [{"kind": "text", "text": "I look first."}]


async def test_each_call_is_priced_by_itself_and_the_session_adds_up(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(
        kit.message(kit.shell("touch up"), input_tokens=1_000_000, output_tokens=0),
        kit.citing(),
    )
    result = await watched.operator(brain).handle(watched.incident)
    costs = [row["cost_usd"] for row in watched.rows("select cost_usd from model_calls order by id")]
    assert costs[0] == pytest.approx(4.0)
    assert result.cost_usd == pytest.approx(sum(costs))
    assert watched.row("select cost_usd from sessions")["cost_usd"] == pytest.approx(sum(costs))
    assert watched.row("select distinct priced_by from model_calls")["priced_by"].startswith("genai-prices ")


async def test_a_claim_that_the_system_does_not_bear_out_stays_a_claim(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell("true")), kit.citing())
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.CLAIMED_UNVERIFIED
    assert watched.board.tickets()[0].attempts == 1


async def test_without_a_monitor_nothing_is_verified(lab: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell("touch up")), kit.citing())
    result = await lab.operator(brain, verify_s=0.3).handle(lab.incident)
    assert result.outcome is Outcome.CLAIMED_UNVERIFIED


async def test_escalating_leaves_it_to_people(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.report("escalated")))
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.ESCALATED
    assert watched.board.tickets()[0].state is TicketState.ESCALATED


async def test_nothing_needed_is_true_only_if_the_tickets_close(watched: Any, kit: Any) -> None:
    operator = watched.operator(kit.Scripted(kit.message(kit.report("no_action_needed"))), verify_s=0.4)
    assert (await operator.handle(watched.incident)).outcome is Outcome.CLAIMED_UNVERIFIED

    async with asyncio.timeout(20):
        while watched.board.next_incident() is None:  # noqa: ASYNC110  a pause after a failed attempt ends without an event
            await asyncio.sleep(0.02)
    (watched.root / "up").touch()
    brain = kit.Scripted(kit.message(kit.report("no_action_needed")))
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.NO_ACTION_NEEDED
    assert watched.board.tickets()[0].state is TicketState.SELF_HEALED


async def test_a_report_without_any_command_is_taken_and_judged_like_any_other(watched: Any, kit: Any) -> None:
    ticket = watched.board.tickets()[0].id
    brain = kit.Scripted(kit.message(kit.report(evidence=[ticket[-6:].lower()])))
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.CLAIMED_UNVERIFIED
    assert result.report is not None
    assert result.report.evidence == (ticket,)


async def test_two_commands_in_one_message_run_in_order_and_nothing_runs_after_the_report(
    watched: Any, kit: Any
) -> None:
    brain = kit.Scripted(
        kit.message(kit.shell("echo one", "toolu_1"), kit.shell("echo two", "toolu_2")),
        kit.message(kit.report("escalated"), kit.shell("touch never", "toolu_3")),
    )
    await watched.operator(brain).handle(watched.incident)
    assert ["one" in kit.result_text(r) or "two" in kit.result_text(r) for r in brain.results()] == [True, True]
    assert [c["command"] for c in watched.rows("select command from commands order by id")] == ["echo one", "echo two"]
    assert not (watched.root / "never").exists()


async def test_the_model_learns_what_was_wrong_with_its_call(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(
        kit.message(
            kit.call("shell", "toolu_1", command="ls"),
            kit.call("shell", "toolu_2", command="  ", reasoning="why not"),
            kit.call("shell", "toolu_3", command="ls", reasoning="so", sudo=True),
            kit.call("browse", "toolu_4", url="http://x"),
            kit.report(evidence=["ZZZZZZ"]),
        ),
        kit.message(kit.report(evidence=[])),
        kit.message(kit.report("maybe", confidence=7)),
        kit.message(kit.report("escalated")),
    )
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.ESCALATED
    first = [kit.result_text(r) for r in brain.asked[1]["messages"][-1]["content"]]
    assert all(r["is_error"] for r in brain.asked[1]["messages"][-1]["content"])
    assert "reasoning: Missing required" in first[0]
    assert "command: Value error, must say something" in first[1]
    assert "sudo: Unexpected keyword" in first[2]
    assert "'browse' not found" in first[3]
    assert "unknown ids ZZZZZZ" in first[4]
    assert "needs evidence" in kit.result_text(brain.asked[2]["messages"][-1]["content"][0])
    third = kit.result_text(brain.asked[3]["messages"][-1]["content"][0])
    assert "outcome:" in third
    assert "confidence:" in third
    assert watched.rows("select * from commands") == []
    assert len(watched.store.events(kinds=["tool.refused"])) == 7


async def test_stopping_without_a_report_is_reminded_once_and_never_a_success(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(
        kit.message(kit.shell("touch up")), kit.message(kit.text("All fixed!")), kit.message(kit.text("As I said."))
    )
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.CLAIMED_UNVERIFIED
    assert result.report is None
    assert "without a report" in (result.error or "")
    said = brain.asked[-1]["messages"]
    assert said[-1] == {"role": "user", "content": REMINDER}
    assert [m["role"] for m in said] == ["user", "assistant", "user", "assistant", "user"]


async def test_the_reminder_may_still_bring_the_report(watched: Any, kit: Any) -> None:
    ticket = watched.board.tickets()[0].id
    brain = kit.Scripted(
        kit.message(kit.shell("touch up")),
        kit.message(),
        kit.message(kit.report(evidence=[ticket[-6:]])),
    )
    assert (await watched.operator(brain).handle(watched.incident)).outcome is Outcome.RESOLVED_VERIFIED


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [
        ("refusal", Outcome.REFUSED),
        ("max_tokens", Outcome.LIMIT_TOKENS),
        ("model_context_window_exceeded", Outcome.LIMIT_TOKENS),
        ("a_reason_of_tomorrow", Outcome.CRASHED),
    ],
)
async def test_the_other_stop_reasons(watched: Any, kit: Any, stop: str, outcome: Outcome) -> None:
    brain = kit.Scripted(kit.message(kit.text("so far"), kit.shell("touch never"), stop=stop))
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is outcome
    assert not (watched.root / "never").exists()
    assert watched.board.tickets()[0].attempts == 1  # handed back


async def test_a_paused_turn_goes_on(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.text("…"), stop="pause_turn"), kit.message(kit.report("escalated")))
    assert (await watched.operator(brain).handle(watched.incident)).outcome is Outcome.ESCALATED
    assert [m["role"] for m in brain.asked[1]["messages"]] == ["user", "assistant"]


async def test_the_sdk_retries_what_may_be_retried(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(
        kit.error(429, "rate_limit_error", "slow down"),
        kit.error(529, "overloaded_error", "busy"),
        kit.message(kit.report("escalated")),
    )
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.ESCALATED
    assert watched.row("select count(*) as n from model_calls")["n"] == 1


@pytest.mark.parametrize(("status", "kind"), [(500, "api_error"), (529, "overloaded_error"), (429, "rate_limit_error")])
async def test_an_endpoint_that_keeps_failing_is_recorded(watched: Any, kit: Any, status: int, kind: str) -> None:
    brain = kit.Scripted(*(kit.error(status, kind, "not today") for _ in range(3)))
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.CRASHED
    assert "not today" in (result.error or "")
    assert "not today" in watched.row("select error from model_calls")["error"]
    assert watched.row("select outcome from sessions")["outcome"] == "crashed"


async def test_an_answer_that_is_no_message_ends_the_session_with_its_cause(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(httpx2.Response(200, json={"hello": "world"}))
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.CRASHED
    assert "the answer is not a message of the Messages API" in (result.error or "")


@pytest.mark.parametrize(
    ("budget", "outcome"),
    [
        (Budget(turns=2), Outcome.LIMIT_TURNS),
        (Budget(tokens=2000), Outcome.LIMIT_TOKENS),
        (Budget(cost_usd=0.001), Outcome.LIMIT_COST),
    ],
)
async def test_a_spent_budget_ends_the_session_before_more_is_spent(
    watched: Any, kit: Any, budget: Budget, outcome: Outcome
) -> None:
    brain = kit.Scripted(*(kit.message(kit.shell("true")) for _ in range(5)))
    result = await watched.operator(brain, budget=budget).handle(watched.incident)
    assert result.outcome is outcome
    assert len(brain.asked) == (1 if outcome is Outcome.LIMIT_COST else 2)
    assert watched.board.tickets()[0].attempts == 1


async def test_wall_time_ends_a_command_and_the_session(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell("sleep 60")))
    result = await watched.operator(brain, budget=Budget(wall_s=0.5)).handle(watched.incident)
    assert result.outcome is Outcome.LIMIT_TIME
    command = watched.row("select * from commands")
    assert command["timed_out"] == 1
    assert command["exit_code"] is None


async def test_a_command_that_takes_too_long_is_something_to_learn_from(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell("echo begun; sleep 60")), kit.citing("escalated"))
    result = await watched.operator(brain, budget=Budget(command_s=0.4)).handle(watched.incident)
    assert result.outcome is Outcome.ESCALATED
    (shown,) = brain.results()
    assert kit.result_text(shown).startswith("timed out · ")
    assert "begun" in kit.result_text(shown)


async def test_a_sandbox_that_is_gone_is_never_told_to_the_model(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell('rmdir "$PWD"')), kit.message(kit.shell("ls", "toolu_2")))
    result = await watched.operator(brain).handle(watched.incident)
    assert result.outcome is Outcome.SANDBOX_GONE
    assert len(brain.asked) == 2
    ended = watched.rows("select * from commands order by id")[-1]
    assert ended["ended_at"] is not None
    assert "SandboxGone" in ended["stderr"]


async def test_secrets_reach_neither_model_nor_audit(watched: Any, kit: Any) -> None:
    secret = "sk-ant-api03-" + "a" * 40
    brain = kit.Scripted(kit.message(kit.shell(f"echo {secret}")), kit.citing("escalated"))
    await watched.operator(brain).handle(watched.incident)
    assert secret not in kit.result_text(brain.results()[0])
    assert all(secret not in json.dumps(row) for row in watched.rows("select stdout, command from commands"))
    assert all(secret not in step.text for step in watched.steps)


async def test_cancelling_ends_the_command_and_is_recorded(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell("sleep 300")))
    begun = asyncio.Event()
    watched.steps = _Signalling(watched.steps, begun)
    working = asyncio.create_task(watched.operator(brain).handle(watched.incident))
    await begun.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    session = watched.row("select * from sessions")
    assert session["outcome"] == "interrupted"
    assert watched.steps[-1].text == "interrupted"
    assert watched.row("select ended_at from commands")["ended_at"] is not None
    assert watched.board.tickets()[0].lease is None


async def test_being_asked_to_end_is_killed_and_returns(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell("sleep 300")))
    begun = asyncio.Event()
    watched.steps = _Signalling(watched.steps, begun)
    operator = watched.operator(brain)
    working = asyncio.create_task(operator.handle(watched.incident))
    await begun.wait()
    operator.stop()
    result = await working
    assert result.outcome is Outcome.KILLED
    assert watched.board.tickets()[0].lease is None


async def test_a_person_who_takes_the_ticket_stops_the_operator(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell("sleep 300")))
    begun = asyncio.Event()
    watched.steps = _Signalling(watched.steps, begun)
    working = asyncio.create_task(watched.operator(brain).handle(watched.incident))
    await begun.wait()
    watched.board.hold(watched.board.tickets()[0].id, "ada")
    result = await working
    assert result.outcome is Outcome.INTERRUPTED
    assert watched.board.tickets()[0].attempts == 0


async def test_the_lease_outlasts_its_term_while_the_work_goes_on(watched: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell("sleep 6; touch up")), kit.citing())
    assert watched.policy.lease_s < 6
    assert (await watched.operator(brain).handle(watched.incident)).outcome is Outcome.RESOLVED_VERIFIED


async def test_an_incident_that_cannot_be_leased_leaves_no_session(watched: Any, kit: Any) -> None:
    watched.board.hold(watched.board.tickets()[0].id, "ada")
    with pytest.raises(Refused):
        await watched.operator(kit.Scripted()).handle(watched.incident)
    assert watched.rows("select * from sessions") == []


async def test_a_follower_that_fails_ends_the_session_as_crashed(watched: Any, kit: Any) -> None:
    class Broken(list[Any]):
        def append(self, _: Any) -> None:
            raise ZeroDivisionError("panel")

    watched.steps = Broken()
    operator = watched.operator(kit.Scripted(kit.message(kit.shell("true"))))
    with pytest.raises(ZeroDivisionError):
        await operator.handle(watched.incident)
    session = watched.row("select outcome, error from sessions")
    assert session["outcome"] == "crashed"
    assert "panel" in session["error"]


class _Signalling(list[Any]):
    """Notes steps, and sets an event when a command begins."""

    def __init__(self, before: list[Any], begun: asyncio.Event) -> None:
        super().__init__(before)
        self._begun = begun

    def append(self, step: Any) -> None:
        super().append(step)
        if step.kind == "command":
            self._begun.set()
