"""`operatorlab invariants`."""

import json

import pytest
from click.testing import CliRunner

from operatorlab.cli import root
from operatorlab.errors import BadParameter, UnknownName
from subjects.ratelimiter.invariants import INVARIANTS


def run(*arguments):
    return CliRunner().invoke(root, ["invariants", *arguments])


def test_every_rule_is_listed_with_what_it_waits_for():
    lines = [line.split("\t") for line in run("list", "ratelimiter").output.splitlines()]
    assert lines[0] == ["invariant", "severity", "grace", "threshold", "window", "description"]
    assert [line[0] for line in lines[1:]] == [rule.name for rule in INVARIANTS]
    assert lines[1][1:5] == ["critical", "1 s", "1.4 s of silence", "5 s"]


def test_json_has_numbers_and_what_settings_make_of_them(tmp_path):
    config = tmp_path / "monitor.yaml"
    config.write_text("grace:\n  node_down: 7\n  high_latency: 8\n")
    told = run("list", "ratelimiter", "--config", str(config), "--grace", "high_latency=0", "--json")
    rules = {rule["name"]: rule for rule in json.loads(told.output)}
    assert (rules["node_down"]["grace_s"], rules["node_down"]["own_grace_s"]) == (7, 1)
    assert (rules["high_latency"]["grace_s"], rules["high_latency"]["own_grace_s"]) == (0, 0.5)
    assert rules["counter_drift"]["grace_s"] == rules["counter_drift"]["own_grace_s"]
    assert rules["high_latency"]["threshold"] == 0.1


def test_a_rule_that_is_set_is_marked():
    assert "1 s" in run("list", "ratelimiter").output
    assert "2 s (own: 1 s)" in run("list", "ratelimiter", "--grace", "node_down=2").output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("ratelimiter", "--grace", "node_dwn=1"), UnknownName),
        (("ratelimter",), UnknownName),
        (("ratelimiter", "--run", "x"), BadParameter),
    ],
)
def test_what_does_not_fit_is_an_error(arguments, error):
    assert isinstance(run("list", *arguments).exception, error)
