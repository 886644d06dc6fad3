"""Logs for Inspect: what is in them, and, where Inspect is installed, that it reads them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from eval.campaign import expand, parse_campaign
from eval.cli import evaluation
from eval.evidence import Ended
from eval.file import CampaignFile
from eval.inspect_log import write_logs
from eval.transcript import messages_of
from operatorlab.audit import AuditStore
from operatorlab.clock import SystemClock
from operatorlab.errors import BadParameter
from operatorlab.monitor.board import Board
from operatorlab.subject import Violation

CAMPAIGN = parse_campaign(
    "{name: mine, summary: two operators, scenarios: [{fault: node_crash, target: node-2}, {control: nothing}],"
    " variants: [runbook, {name: the other/one, brain: noop}], repeats: 2}"
)


@pytest.fixture
def file(make, tmp_path: Path):
    """The runbook repairs; of the other one's trials one crashed, one ran out of time and one was not run."""
    with CampaignFile.create(CAMPAIGN, expand(CAMPAIGN), tmp_path / "mine") as file:
        for trial in file.trials():
            runbook, control = trial.variant.name == "runbook", trial.scenario.is_control
            if control and trial.repeat == 1 and not runbook:
                continue
            cut = {"window": None, "after": None, "sessions": ()}
            calm = {"faults": (), "tickets": (), "sessions": (), "after": make.inventory(), "samples": ()}
            crashed = {"ended": Ended.CRASHED, "error": "OSError: gone", **cut}
            late = {"ended": Ended.TIMED_OUT, "error": "not done", **cut}
            changes = calm if control else {} if runbook else crashed if trial.repeat else late
            file.store(make.evidence(trial=trial, **changes))
        yield file


@pytest.fixture
def logs(file, tmp_path: Path) -> dict[str, dict]:
    assert write_logs(file, tmp_path / "logs") == 7
    read = [json.loads(path.read_text()) for path in sorted((tmp_path / "logs").iterdir())]
    return {log["eval"]["metadata"]["variant"]["name"]: log for log in read}


def test_a_variant_is_a_log_with_its_rate_and_its_interval(logs):
    assert set(logs) == {"runbook", "the other/one"}
    done, broken_off = logs["runbook"], logs["the other/one"]
    assert (done["version"], done["status"], broken_off["status"]) == (2, "success", "started")
    spec = done["eval"]
    assert (spec["task"], spec["dataset"]["name"], spec["config"]["epochs"]) == ("mine", "ratelimiter", 2)
    assert spec["model"] == "runbook/runbook"
    assert spec["created"].endswith("+00:00")
    assert [*done] == ["version", "status", "eval", "plan", "results", "stats", "samples"]
    assert done["plan"]["steps"][0]["solver"] == "runbook"
    (found,) = done["results"]["scores"]
    accuracy = found["metrics"]["accuracy"]
    assert (accuracy["value"], accuracy["metadata"]["k"], accuracy["metadata"]["n"]) == (1.0, 4, 4)
    assert accuracy["metadata"]["low"] == pytest.approx(0.51, abs=0.01)
    (other,) = broken_off["results"]["scores"]
    assert (other["metrics"]["accuracy"]["metadata"]["k"], other["scored_samples"]) == (1, 3)  # what crashed is in n
    assert broken_off["results"]["total_samples"] == 4
    assert broken_off["eval"]["model"] == "noop"


def test_a_scenario_is_a_sample_and_a_repeat_an_epoch(logs):
    samples = logs["runbook"]["samples"]
    assert [(one["id"], one["epoch"]) for one in samples] == [
        ("000 node_crash@node-2", 1), ("001 nothing", 1), ("000 node_crash@node-2", 2), ("001 nothing", 2),
    ]  # fmt: skip
    assert logs["runbook"]["eval"]["dataset"]["sample_ids"] == ["000 node_crash@node-2", "001 nothing"]
    assert [one["id"] for one in logs["the other/one"]["samples"]] == [one["id"] for one in samples[:3]]
    broken, control = samples[:2]
    assert broken["target"] == "node-2 (crash): it was killed"
    assert control["target"] == "nothing to repair"
    assert broken["scores"]["success"]["value"] == "C"
    assert broken["scores"]["success"]["answer"] == "fixed_clean"
    assert broken["scores"]["success"]["metadata"]["repair"]["repair_s"] == 4.0
    assert broken["model_usage"]["m"]["total_tokens"] == 15


def test_what_broke_off_says_why(logs):
    late, _, crashed = logs["the other/one"]["samples"]
    assert late["limit"] == {"type": "time", "limit": 120.0}
    assert "error" not in late
    assert crashed["error"]["message"] == "crashed: OSError: gone"
    assert crashed["scores"]["success"]["value"] == "I"
    assert crashed["scores"]["success"]["answer"] == "none"


def test_commands_are_calls_of_the_shell(logs):
    first, called, answered, report = logs["runbook"]["samples"][0]["messages"]
    assert (first["role"], first["content"]) == ("user", "Tickets: node_down/node-2")
    ids = [one["id"] for log in logs.values() for sample in log["samples"] for one in sample["messages"]]
    assert len(ids) == len(set(ids)) == 13
    (call,) = called["tool_calls"]
    assert (call["function"], call["arguments"]["command"]) == ("shell", "supervisorctl start node-2")
    assert answered["tool_call_id"] == call["id"]
    assert "is in the audit of the trial" in answered["content"]
    assert json.loads(report["content"])["blamed"] == ["node-2"]
    assert logs["runbook"]["samples"][0]["output"]["choices"][0]["message"] == report


def test_reasons_and_outputs_come_from_the_audit(make, tmp_path: Path):
    with AuditStore(tmp_path / "audit.db") as store:
        store.begin_run("r", "ratelimiter", "processes", str(tmp_path))
        (ticket,) = Board(store, "r").judge([Violation("node_down", "node-2", "…")], (), SystemClock().now())
        session = store.begin_session("r", ticket.incident, "runbook", "runbook", 1)
        command = store.begin_command(session, "supervisorctl status", "which processes run?")
        store.end_command(command, 3, 0.1, "node-2 STOPPED\n", "a warning")
    ran = make.command("supervisorctl status", exit_code=3).model_copy(update={"id": command})
    evidence = make.evidence(sessions=(make.session(ran),))
    _, called, answered, _ = messages_of(evidence, tmp_path / "audit.db")
    assert called["content"] == called["tool_calls"][0]["arguments"]["reasoning"] == "which processes run?"
    assert answered["content"] == "exit 3\nnode-2 STOPPED\n\na warning"


def test_the_command_writes_a_folder_and_never_over_one(file, tmp_path: Path):
    arguments = ["export", str(file.path), "--format", "inspect", "--to", str(tmp_path / "out")]
    result = CliRunner().invoke(evaluation, arguments, catch_exceptions=False)
    assert "7 trials in" in result.output
    assert len(list((tmp_path / "out").glob("*.json"))) == 2
    with pytest.raises(BadParameter, match="exists already"):
        CliRunner().invoke(evaluation, arguments, catch_exceptions=False)


@pytest.mark.filterwarnings("ignore")  # of a library that is not ours
def test_inspect_reads_them(file, tmp_path: Path):
    log = pytest.importorskip("inspect_ai.log", reason="inspect_ai is no dependency: pip install inspect_ai")
    write_logs(file, tmp_path / "logs")
    listed = log.list_eval_logs(str(tmp_path / "logs"))
    assert len(listed) == 2
    heads = [log.read_eval_log(one, header_only=True) for one in listed]
    assert {(head.eval.task, head.samples) for head in heads} == {("mine", None)}
    read = {one.eval.metadata["variant"]["name"]: one for one in map(log.read_eval_log, listed)}
    done, broken_off = read["runbook"], read["the other/one"]
    assert (done.status, len(done.samples), broken_off.status, len(broken_off.samples)) == ("success", 4, "started", 3)
    assert done.results.scores[0].metrics["accuracy"].value == 1.0
    sample = done.samples[0]
    assert sample.scores["success"].value == "C"
    assert sample.messages[1].tool_calls[0].arguments["command"] == "supervisorctl start node-2"
    assert sample.output.completion == sample.messages[-1].text
    assert broken_off.samples[0].limit.type == "time"
    assert "gone" in broken_off.samples[2].error.message
