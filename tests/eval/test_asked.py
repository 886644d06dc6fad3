"""What a person asks to be run: a campaign as it is or otherwise, or one scenario by its name."""

import pytest
from click.testing import CliRunner

from eval import load
from eval.asked import asked
from eval.campaign import expand, read_campaign
from eval.cli import evaluation
from operatorlab.errors import BadParameter, UnknownName


def labels(campaign) -> set[str]:
    return {trial.scenario.label for trial in expand(campaign)}


@pytest.mark.parametrize(
    ("what", "label"),
    [
        ("node_crash", "node_crash@node-1"),
        ("node_crash@node-2", "node_crash@node-2"),
        ("node_hang+redis_latency@node-3", "node_hang@node-1+redis_latency@node-3"),
        ("retry_storm", "insistent_clients@node-1+redis_hang@redis"),
        ("nothing", "nothing"),
    ],
)
def test_a_scenario_is_tried_once_by_the_runbook(what, label):
    (trial,) = expand(asked(what))
    assert (trial.scenario.label, trial.variant.name) == (label, "runbook")


def test_all_faults_are_those_of_the_deployment():
    here, contained = labels(asked("all")), labels(asked("all", deployment="compose"))
    assert "self_healing_crash@node-1" in here - contained
    assert "node_clock_skew@node-1" in here & contained
    assert "redis_loss@node-1" in contained - here


def test_what_is_said_otherwise_takes_the_place_of_what_a_campaign_says():
    smoke = asked("smoke", repeats=3, seed=9, variants=("noop",))
    assert (smoke.repeats, smoke.seed, smoke.variants) == (3, 9, ("noop",))
    assert labels(smoke) == labels(read_campaign("smoke"))
    assert asked("smoke", seed=0).seed == 0
    assert asked("smoke", repeats=None, variants=()) == read_campaign("smoke")
    assert len(expand(asked("node_crash", repeats=4, variants=("runbook", "noop")))) == 8


@pytest.mark.parametrize(
    ("what", "otherwise", "told"),
    [
        ("node_crash@node-9", {}, "cannot be aimed at 'node-9', but at node-1, node-2, node-3"),
        ("node_crash+redis_loss", {}, "no fault on processes is called 'redis_loss'"),
        ("smoke", {"variants": ("nobody",)}, "no variant is called 'nobody'"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_starts(what, otherwise, told):
    with pytest.raises(BadParameter, match=told):
        asked(what, **otherwise)


@pytest.mark.parametrize(("what", "meant"), [("smok", "smoke"), ("node_crsh@node-1", "node_crash")])
def test_a_name_that_nothing_has_is_an_error_that_says_which_was_meant(what, meant):
    with pytest.raises(UnknownName, match=f"did you mean '{meant}'"):
        asked(what)


@pytest.mark.slow
def test_one_scenario_is_run_and_kept_as_any_campaign(own_home):
    ran = CliRunner().invoke(evaluation, ["run", "node_crash@node-2", "--seed", "3"], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    assert "finished: 1 trials" in ran.output
    trials = load("node_crash-node-2").trials
    assert list(trials.verdict) == ["fixed_clean"]
