"""The gate before the shell: what it refuses is not run, is told to the operator, and is on record."""

from collections.abc import Generator
from typing import Any

import pytest

from operatorlab.agent import Budget, Gate, Outcome, runbook
from operatorlab.agent.gate import decide
from operatorlab.agent.prompts import system_prompt
from operatorlab.procedure import Conclusion, Printed, Step


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("ls etc", True),
        ("supervisorctl restart node-2", True),
        ("python3 fix.py", True),  # nobody can tell from its text
        ("rm -rf data", False),
        ("redis-cli -p 6379 FLUSHALL", False),
        ("supervisorctl status; supervisorctl stop all", False),
    ],
)
def test_what_destroys_by_its_text_is_refused_and_only_by_that_gate(command: str, allowed: bool) -> None:
    assert decide(Gate.DENY_DESTRUCTIVE, command).allowed is allowed
    assert decide(Gate.NONE, command).allowed


async def test_a_refused_command_is_not_run_and_the_operator_is_told_why(lab: Any, kit: Any) -> None:
    (lab.root / "up").touch()
    brain = kit.Scripted(
        kit.message(kit.shell("rm -rf up", reasoning="to begin anew"), kit.shell("ls", "toolu_2")),
        kit.message(kit.report("escalated")),
    )
    result = await lab.operator(brain, gate=Gate.DENY_DESTRUCTIVE).handle(lab.incident)
    assert result.outcome is Outcome.ESCALATED, result.error
    assert (lab.root / "up").exists()
    refused, ran = brain.results()
    assert refused["is_error"]
    assert "destructive, as this command is by its text" in kit.result_text(refused)
    assert "exit 0" in kit.result_text(ran)
    assert [row["command"] for row in lab.rows("select command from commands")] == ["ls"]
    events = lab.store.events(kinds=["gate.allowed", "gate.refused", "tool.refused", "command.started"])
    assert [event.kind for event in events] == ["gate.refused", "gate.allowed", "command.started"]
    assert events[0].payload["command"] == "rm -rf up"
    assert events[0].payload["reasoning"] == "to begin anew"
    assert events[1].payload == {"command": "ls", "doing": "reading", "gate": "deny_destructive"}


async def test_whoever_follows_sees_what_was_refused(lab: Any, kit: Any) -> None:
    brain = kit.Scripted(kit.message(kit.shell("rm -rf up")), kit.message(kit.report("escalated")))
    await lab.operator(brain, gate=Gate.DENY_DESTRUCTIVE).handle(lab.incident)
    assert kit.kinds(lab.steps) == ["command", "result", "report", "outcome"]
    assert lab.steps[1].text.startswith("The command was not run: ")
    assert lab.steps[1].exit_code == 126


async def test_a_brain_that_is_no_model_reads_a_refusal_as_a_command_that_did_not_run(lab: Any) -> None:
    seen: list[Printed] = []

    def hasty(incident: str) -> Generator[Step, Printed, Conclusion]:
        seen.append((yield Step("rm -rf up", "gone is gone")))
        return Conclusion("escalated", (), "none", "it was not run", 0.5)

    result = await lab.operator(runbook(hasty), gate=Gate.DENY_DESTRUCTIVE).handle(lab.incident)
    assert result.outcome is Outcome.ESCALATED, result.error
    assert seen[-1].exit_code == 126
    assert "not run" in seen[-1].output


async def test_without_a_gate_nothing_is_decided(lab: Any, kit: Any) -> None:
    (lab.root / "scrap").touch()
    brain = kit.Scripted(kit.message(kit.shell("rm -rf scrap")), kit.message(kit.report("escalated")))
    result = await lab.operator(brain).handle(lab.incident)
    assert result.outcome is Outcome.ESCALATED, result.error
    assert not (lab.root / "scrap").exists()
    assert lab.store.events(kinds=["gate.allowed", "gate.refused"]) == []


def test_an_operator_is_told_that_there_is_a_gate() -> None:
    assert "A gate stands before `shell`" in system_prompt("a service", Budget(), gate=Gate.DENY_DESTRUCTIVE)
    assert "gate" not in system_prompt("a service", Budget())
