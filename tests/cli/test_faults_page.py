"""docs/faults.md begins with what the code says of its faults."""

import json
from pathlib import Path

from click.testing import CliRunner

from operatorlab.cli import root
from subjects.ratelimiter.subject import RateLimiter

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def test_the_page_is_what_the_command_prints():
    told = CliRunner().invoke(root, ["faults", "list", "ratelimiter", "--markdown"])
    assert told.exit_code == 0
    assert PAGE.read_text().startswith(told.output), (
        "docs/faults.md is not what the code says: put what `operatorlab faults list ratelimiter --markdown` prints "
        "before its part on the runbook"
    )


def test_every_fault_and_composite_is_on_the_page():
    text = PAGE.read_text()
    for one in (*RateLimiter.faults, *RateLimiter.composites):
        assert f"| `{one.name}` |" in text


def test_the_runbooks_result_on_every_fault_is_on_the_page():
    measured = PAGE.read_text().partition("## The runbook")[2]
    assert [fault.name for fault in RateLimiter.faults if f"| `{fault.name}` |" not in measured] == []


def test_the_list_has_composites_and_controls_after_the_singles():
    told = json.loads(CliRunner().invoke(root, ["faults", "list", "ratelimiter", "--json"]).output)
    kinds = {one["name"]: one["kind"] for one in told}
    assert (kinds["node_crash"], kinds["half_rollout"], kinds["short_pause"]) == ("crash", "composite", "control")
    assert [one["name"] for one in told[: len(RateLimiter.faults)]] == [fault.name for fault in RateLimiter.faults]
    half = next(one for one in told if one["name"] == "half_rollout")
    assert half["deployments"] == ["processes", "compose"]
    assert half["targets"] == ["node_bad_window on node-1", "node_bad_window on node-2"]
    assert half["expected"] == ["ghost_allowing/canary"]
    assert next(one for one in told if one["name"] == "self_healing_crash")["deployments"] == ["processes"]
