"""Variants say what an operator is made of; what it cannot be given is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from eval.variant import VARIANTS, Limits, Variant, make, named
from operatorlab.errors import BadParameter, UnknownName
from subjects.ratelimiter.subject import RateLimiter


@pytest.mark.parametrize("path", sorted(VARIANTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_variant_of_the_repository_is_valid(path: Path):
    assert named(path.stem).name == path.stem


@pytest.mark.parametrize("field", ["effort", "prompt", "hints", "tools", "gate", "mode"])
def test_what_is_not_there_yet_is_refused_by_name(field):
    with pytest.raises(ValidationError, match=f"cannot be given {field} yet"):
        Variant.model_validate({"name": "x", field: "high"})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"temperature": 1}, "Extra inputs"),
        ({"brain": "clade"}, "no brain is called 'clade'"),
        ({"brain": "runbook", "model": "m"}, "takes no model"),
        ({"budget": {"turns": 0}}, "greater than 0"),
        ({"budget": {"turn": 5}}, "Extra inputs"),
    ],
)
def test_a_variant_that_cannot_be_is_refused(given, why):
    with pytest.raises(ValidationError, match=why):
        Variant.model_validate({"name": "x"} | given)


def test_the_budget_reaches_the_operator_as_it_is_written():
    limits = Limits(turns=3, tokens=10, cost_usd=0.5, wall_s=7, command_s=2)
    assert limits.budget().turns == 3
    assert limits.model_dump() == {name: getattr(limits.budget(), name) for name in Limits.model_fields}


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
