"""Variants say what an operator is made of; what it cannot be given is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from eval.campaign import expand, parse_campaign, read_campaign
from eval.evidence import Trial
from eval.variant import VARIANTS, Limits, Variant, make, named
from operatorlab.agent import Budget, Instructions
from operatorlab.errors import BadParameter, UnknownName
from subjects.ratelimiter.subject import RateLimiter


@pytest.mark.parametrize("path", sorted(VARIANTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_variant_of_the_repository_is_valid(path: Path):
    assert named(path.stem).name == path.stem


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"temperature": 1}, "Extra inputs"),
        ({"brain": "clade"}, "no brain is called 'clade'"),
        ({"brain": "runbook", "model": "m"}, "takes no model"),
        ({"budget": {"turns": 0}}, "greater than 0"),
        ({"budget": {"turn": 5}}, "Extra inputs"),
        ({"effort": "high"}, "the brain 'runbook' takes no effort"),
        ({"brain": "claude", "effort": "hihg"}, "no effort is called 'hihg'; there is low, medium"),
        ({"prompt": "be quick"}, "reads neither a prompt nor hints"),
        ({"brain": "noop", "hints": False}, "reads neither a prompt nor hints"),
        ({"brain": "claude", "prompt": {"txt": "x"}}, "Extra inputs"),
        ({"brain": "claude", "prompt": " "}, "should match pattern"),
        ({"brain": "claude", "prompt": {"text": "x", "file": "y"}}, "not both"),
        ({"brain": "claude", "prompt": {"file": "no-such-file.md"}}, "no-such-file.md cannot be read"),
        ({"brain": "claude", "hints": "some"}, "valid dictionary"),
        ({"tools": {"lines": 5}}, "Extra inputs"),
        ({"tools": {"shown_chars": 0}}, "greater than or equal to 200"),
        ({"tools": {"command_s": 3}, "budget": {"command_s": 4}}, "the same limit"),
        ({"gate": "deny_everything"}, "no gate is called 'deny_everything'; there is none, deny_destructive"),
        ({"gate": "approve"}, "needs a person"),
        ({"mode": "act"}, "no mode is called 'act'; there is operate, observe"),
    ],
)
def test_a_variant_that_cannot_be_is_refused(given, why):
    with pytest.raises(ValidationError, match=why):
        Variant.model_validate({"name": "x"} | given)


def test_the_budget_reaches_the_operator_as_it_is_written():
    limits = Limits(turns=3, tokens=10, cost_usd=0.5, wall_s=7, command_s=2)
    budget = Variant(name="x", budget=limits).limits()
    assert budget.turns == 3
    assert limits.model_dump() == {name: getattr(budget, name) for name in Limits.model_fields}
    assert budget.shown_chars == Budget().shown_chars


def test_limits_of_the_tools_are_limits_of_the_session():
    given = {"name": "x", "budget": {"turns": 3}, "tools": {"command_s": 4, "shown_chars": 500}}
    budget = Variant.model_validate(given).limits()
    assert (budget.turns, budget.command_s, budget.shown_chars) == (3, 4, 500)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, Instructions()),
        ({"prompt": "Look at the links."}, Instructions("Look at the links.")),
        ({"prompt": {"text": "You look.", "replace": True}}, Instructions("You look.", replaces=True)),
        ({"hints": False}, Instructions(briefing=False)),
        ({"hints": "none"}, Instructions(briefing=False)),
        ({"hints": True}, Instructions()),
        ({"hints": ["a", "b"]}, Instructions(hints=("a", "b"))),
        ({"hints": {"briefing": False, "lines": ["a"]}}, Instructions(briefing=False, hints=("a",))),
    ],
)
def test_a_prompt_and_hints_are_what_the_operator_is_told(given, told):
    variant = Variant.model_validate({"name": "x", "brain": "claude"} | given)
    assert variant.instructions() == told
    assert Variant.model_validate_json(variant.model_dump_json()) == variant


def test_a_prompt_is_read_from_beside_the_file_and_goes_with_the_variant(tmp_path: Path):
    (tmp_path / "careful.md").write_text("Be careful.\n")
    path = tmp_path / "careful.yaml"
    path.write_text("brain: claude\nprompt: {file: careful.md, replace: true}\n")
    variant = named(str(path))
    assert variant.instructions() == Instructions("Be careful.\n", replaces=True)
    campaign = tmp_path / "mine.yaml"
    campaign.write_text(
        "{name: mine, scenarios: [{fault: node_crash}],"
        " variants: [{name: c, brain: claude, endpoint: 'http://x', prompt: {file: careful.md}}]}"
    )
    (trial,) = expand(read_campaign(str(campaign)))
    (tmp_path / "careful.md").unlink()
    assert Trial.model_validate_json(trial.model_dump_json()).variant.instructions() == Instructions("Be careful.\n")


def test_a_trial_is_called_as_before_there_was_more_to_give():
    text = "{name: mine, scenarios: [{fault: node_crash, target: node-2}], variants: [runbook, %s]}"
    as_before = "{name: c, brain: claude, endpoint: 'http://x', budget: {turns: 3}, gate: none, mode: operate}"
    trials = expand(parse_campaign(text % as_before))
    assert [trial.id for trial in trials] == ["6c0827fd182b", "6ad37d967392"]
    other = expand(parse_campaign(text % as_before.replace("gate: none", "gate: deny_destructive")))
    assert other[1].id not in {trial.id for trial in trials}


def test_an_effort_reaches_the_brain_and_is_refused_for_a_model_that_has_none(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    high = Variant(name="x", brain="claude", effort="high")
    assert make(high, RateLimiter()).parameters()["output_config"] == {"effort": "high"}
    with pytest.raises(BadParameter, match="claude-haiku-4-5 takes no effort"):
        make(high.model_copy(update={"model": "claude-haiku-4-5"}), RateLimiter())


def test_a_brain_of_ones_own_is_found_by_its_path():
    brain = make(Variant(name="mine", brain="brains_of_mine:lazy"), RateLimiter())
    assert brain.name == "noop"
    with pytest.raises(BadParameter, match="cannot be imported"):
        make(Variant(name="none", brain="no.such.module:brain"), RateLimiter())


@pytest.fixture(autouse=True)
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from operatorlab.agent.brains import noop\n\ndef lazy(subject):\n    return noop()\n"
    (tmp_path / "brains_of_mine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_variant_is_read_from_a_file_of_ones_own(tmp_path: Path):
    path = tmp_path / "hurried.yaml"
    path.write_text("budget: {turns: 3}\n")
    assert named(str(path)) == Variant(name="hurried", budget=Limits(turns=3))
    with pytest.raises(UnknownName, match="did you mean 'runbook'"):
        named("runbok")
