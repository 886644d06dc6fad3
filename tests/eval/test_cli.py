"""What the commands say, on a campaign whose evidence was made by hand."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from eval.campaign import expand, parse_campaign
from eval.cli import evaluation
from eval.file import CampaignFile
from eval.frames import load
from operatorlab.errors import BadParameter, UnknownName

CAMPAIGN = parse_campaign(
    "{name: mine, scenarios: [{fault: node_crash, target: node-2}, {control: nothing}],"
    " variants: [runbook, noop], repeats: 2}"
)


@pytest.fixture(autouse=True)
def name(make) -> str:
    """A campaign in the lab's home: the runbook repairs, and noop leaves everything broken."""
    with CampaignFile.create(CAMPAIGN, expand(CAMPAIGN)) as file:
        for trial in file.trials():
            unfixed = {"faults": (make.fault(active=True),), "sessions": (), "window": make.evidence().window}
            calm = {"faults": (), "tickets": (), "sessions": (), "after": make.inventory(), "samples": ()}
            changes = calm if trial.scenario.is_control else unfixed if trial.variant.name == "noop" else {}
            file.store(make.evidence(trial=trial, **changes))
        return file.name


def said(*arguments: str) -> str:
    result = CliRunner().invoke(evaluation, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_list(name):
    assert f"{name}\t8/8\t6" in said("list")
    assert json.loads(said("list", "--json"))[0]["campaign"] == name


def test_analyze(name):
    told = said("analyze")
    assert "8 of 8 trials" in told
    assert "runbook\t100% (4/4; 51%–100%)" in told
    assert "noop\t50% (2/4; 15%–85%)" in told
    assert "node_crash@node-2\t2/2 fixed_clean 2\t0/2 masked 2" in told
    assert "2 without success" in told
    assert json.loads(said("analyze", "--json"))["variants"][0]["success"]["k"] == 4


def test_show(name):
    assert said("show").count("node_crash@node-2") == 4
    told = said("show", "0")
    assert "fixed_clean" in told
    assert "blamed exactly (F1 1.00), of the right kind" in told
    assert "supervisorctl start node-2" in told
    assert json.loads(said("show", "0", "--json"))["trial"]["number"] == 0


def test_compare(name):
    told = said("compare", "runbook", "noop")
    assert "4 pairs" in told
    assert "need " in told
    assert json.loads(said("compare", "runbook", "noop", "--json"))["pairs"] == 4
    with pytest.raises(UnknownName, match="did you mean 'noop'"):
        said("compare", "runbook", "nop", "-c", name)
    with pytest.raises(BadParameter, match="several variants"):
        said("compare", name, name)


def test_rescore(name):
    assert "8 scores, 0 of them changed" in said("rescore")


def test_plan():
    told = said("plan", "smoke")
    assert "trials      6: 3 scenarios × 2 variants" in told


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_export(name, kind, tmp_path: Path):
    target = tmp_path / f"out.{kind}"
    assert "8 trials in" in said("export", "--format", kind, "--to", str(target))
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": lambda path: pd.read_json(path, lines=True)}[kind]
    assert len(read(target)) == 8
    with pytest.raises(BadParameter, match="exists already"):
        said("export", "--format", kind, "--to", str(target))


def test_frames(name):
    frames = load(name)
    assert frames.trials.groupby("variant").success.mean().to_dict() == {"noop": 0.5, "runbook": 1.0}
    assert set(frames.commands.doing) == {"mutating"}
    assert frames.faults.active.sum() == 2
    assert set(frames.tickets.trial) <= set(frames.trials.trial)


def test_the_report_opens_offline_and_shows_failures_first(name, tmp_path: Path):
    target = tmp_path / "report.html"
    said("report", "--to", str(target))
    page = target.read_text()
    assert "default-src 'none'" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.index("Without success") < page.index("Scenarios by variants")
    assert page.count('<details class="trial"') == 8


def test_hostile_text_is_neither_obeyed_by_a_terminal_nor_by_a_browser(name, make, tmp_path: Path):
    evil = "\x1b[2J<script>alert(1)</script>\u202e"
    hostile = parse_campaign("{name: hostile, scenarios: [{fault: node_crash, target: node-2}], variants: [runbook]}")
    with CampaignFile.create(hostile, expand(hostile)) as file:
        session = make.session(make.command(f"echo {evil}"), mechanism=evil)
        file.store(make.evidence(trial=file.trials()[0], sessions=(session,)))
        which = file.name
    for told in (said("show", "0", "-c", which), said("analyze", which)):
        assert "\x1b" not in told
        assert "\u202e" not in told
    said("report", which, "--to", str(tmp_path / "h.html"))
    page = (tmp_path / "h.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
