"""What an operator goes to work with is what is sent, and what is sent is on record."""

import json
from hashlib import sha256
from typing import Any

import pytest

from operatorlab.agent import Budget, Claude, Gate, Instructions
from operatorlab.agent.brains import EFFORTS, make_brain
from operatorlab.agent.prompts import system_prompt
from operatorlab.errors import BadParameter, UnknownName


def equipped(lab: Any) -> dict[str, Any]:
    (event,) = lab.store.events(kinds=["session.equipped"])
    return dict(event.payload)


async def test_what_is_on_record_is_what_was_sent(lab: Any, endpoint: Any) -> None:
    brain = Claude("my-own:7b", endpoint.url, effort="low")
    told = Instructions("Look at the disk first.", hints=("the disk is small",))
    budget = Budget(command_s=7, shown_chars=900)
    await lab.operator(brain, verify_s=0.1, instructions=told, budget=budget, gate=Gate.DENY_DESTRUCTIVE).handle(
        lab.incident
    )
    record = equipped(lab)
    for _, body in endpoint.seen:
        assert body["system"] == record["system"]
        assert {name: body[name] for name in record["parameters"]} == record["parameters"]
    assert record["parameters"] == {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}
    assert record["system_sha256"] == sha256(record["system"].encode()).hexdigest()
    assert (record["briefing"], record["hints"]) == (True, ["the disk is small"])
    assert (record["limits"]["command_s"], record["limits"]["shown_chars"]) == (7, 900)
    assert (record["gate"], record["mode"]) == ("deny_destructive", "operate")


async def test_without_an_effort_nothing_of_it_is_sent(lab: Any, endpoint: Any) -> None:
    await lab.operator(Claude("m", endpoint.url), verify_s=0.1).handle(lab.incident)
    assert not {"thinking", "output_config"} & endpoint.seen[0][1].keys()
    assert equipped(lab)["parameters"] == {}


async def test_what_it_thought_is_on_record_and_goes_back_to_it_as_it_was(lab: Any, kit: Any) -> None:
    thought = {"type": "thinking", "thinking": "the file may be gone", "signature": "c2lnbmVk"}
    brain = kit.Scripted(kit.message(thought, kit.shell("ls")), kit.message(kit.report("escalated")))
    await lab.operator(brain).handle(lab.incident)
    assert brain.asked[1]["messages"][1]["content"][0] == thought
    (event,) = lab.store.events(kinds=["thought"])
    assert event.payload == {"kind": "thinking", "text": "the file may be gone"}


async def test_it_is_on_record_before_the_model_is_asked(lab: Any) -> None:
    await lab.operator(Claude("m", "http://127.0.0.1:9")).handle(lab.incident)
    kinds = [event.kind for event in lab.store.events()]
    assert kinds.index("session.equipped") < kinds.index("model_call.started")


async def test_a_secret_in_what_it_is_told_is_neither_sent_nor_recorded(lab: Any, kit: Any) -> None:
    key = "sk-ant-api03-" + "a" * 90
    brain = kit.Scripted(kit.message(kit.report("escalated")))
    await lab.operator(brain, instructions=Instructions(f"The key is {key}")).handle(lab.incident)
    assert key not in json.dumps(brain.asked)
    assert key not in json.dumps(equipped(lab))
    assert brain.asked[0]["system"] == equipped(lab)["system"]


async def test_of_a_long_output_so_much_is_shown_as_the_limit_says(lab: Any, kit: Any) -> None:
    brain = kit.Scripted(
        kit.message(kit.shell("printf 'o%.0s' {1..9000}; printf 'e%.0s' {1..9000} >&2")),
        kit.message(kit.report("escalated")),
    )
    await lab.operator(brain, budget=Budget(shown_chars=1000)).handle(lab.incident)
    shown = kit.result_text(brain.results()[0])
    assert 1000 <= len(shown) < 1300
    assert "output truncated" in shown.splitlines()[0]
    assert shown.count("e" * 50) > 1  # the other stream keeps its share
    assert len(lab.row("select stdout from commands")["stdout"]) == 9000  # the audit keeps it all


@pytest.mark.parametrize("effort", EFFORTS)
def test_efforts_by_name(effort: str) -> None:
    brain = make_brain("claude", effort=effort, environment={"ANTHROPIC_API_KEY": "k"})
    assert brain.parameters() == {
        "cache_control": {"type": "ephemeral"},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": effort},
    }


def test_an_effort_that_cannot_be_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'high'"):
        Claude(effort="hihg")
    with pytest.raises(BadParameter, match="claude-haiku-4-5 takes no effort"):
        Claude("claude-haiku-4-5", effort="low")
    for brain in ("runbook", "noop"):
        with pytest.raises(BadParameter, match="takes no effort"):
            make_brain(brain, effort="low")


BUDGET = Budget(turns=7)


def test_an_addition_is_said_between_how_it_works_and_what_binds_it() -> None:
    plain, told = (system_prompt("BRIEFING", BUDGET, one) for one in (Instructions(), Instructions("Be {quick}.\n")))
    assert plain == system_prompt("BRIEFING", BUDGET)
    assert told.replace("Be {quick}.\n\n", "") == plain
    assert told.index("How you work") < told.index("Be {quick}.") < told.index("What binds you")


def test_a_replacement_leaves_what_binds_and_the_briefing() -> None:
    told = system_prompt("BRIEFING", BUDGET, Instructions("You are slow.", replaces=True))
    assert told.startswith("You are slow.\n\nWhat binds you")
    assert "How you work" not in told
    assert "7 turns" in told
    assert told.endswith("The system\n\nBRIEFING")


def test_hints_come_last_each_on_a_line_and_the_briefing_can_be_left_out() -> None:
    hints = ("node-1 is old", "two\nlines")
    told = system_prompt("BRIEFING", BUDGET, Instructions(hints=hints))
    assert told.endswith("BRIEFING\n\nHints\n\n- node-1 is old\n- two lines")
    bare = system_prompt("BRIEFING", BUDGET, Instructions(briefing=False))
    assert "BRIEFING" not in bare
    assert "The system" not in bare
    assert "What binds you" in bare
