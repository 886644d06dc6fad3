"""A variant: who operates, and with what. A YAML file in `eval/variants/`, or a mapping in a campaign.

    name: runbook-hurried
    brain: runbook
    budget: {turns: 3}

What an operator cannot be given yet (`effort`, `prompt`, `hints`, `tools`, `gate`) is refused by name, never ignored.
`brain` may also be `package.module:function`: called with the subject, it returns a `Brain`.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from operatorlab.agent.brains import BRAINS, Brain, make_brain
from operatorlab.agent.budget import Budget
from operatorlab.errors import BadParameter, UnknownName
from operatorlab.subject import Subject

VARIANTS = Path(__file__).parent / "variants"
REFERENCE = "reference"
"""The brain that runs the subject's own reference fix: it knows the answer, and shows what can be scored at best."""
_NOT_YET = ("effort", "prompt", "hints", "tools", "gate", "mode")


class Limits(BaseModel):
    """What a session may spend; the defaults are those of `operatorlab.agent.Budget`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: int = Field(40, gt=0)
    tokens: int = Field(2_000_000, gt=0)
    cost_usd: float = Field(5.0, gt=0)
    wall_s: float = Field(60.0, gt=0)
    command_s: float = Field(20.0, gt=0)

    def budget(self) -> Budget:
        """As the operator takes it."""
        return Budget(**self.model_dump())


class Variant(BaseModel):
    """One configuration of an operator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=60)
    brain: str = "runbook"
    model: str | None = None
    endpoint: str | None = None
    budget: Limits = Limits()

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_is_not_there_yet(cls, given: Any) -> Any:
        early = sorted(set(_NOT_YET) & set(given)) if isinstance(given, dict) else []
        if early:
            raise ValueError(f"an operator cannot be given {', '.join(early)} yet")
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Variant:
        if self.brain not in (*BRAINS, REFERENCE) and ":" not in self.brain:
            known = ", ".join((*BRAINS, REFERENCE))
            raise ValueError(f"no brain is called {self.brain!r}; there is {known}, or package.module:function")
        if self.brain != "claude" and (self.model or self.endpoint):
            raise ValueError(f"the brain {self.brain!r} takes no model and no endpoint")
        return self


def make(variant: Variant, subject: Subject) -> Brain:
    """The brain of a variant. UserError if it cannot be had; the reference brain is made by the trial."""
    if ":" not in variant.brain:
        return make_brain(variant.brain, subject=subject, model=variant.model, base_url=variant.endpoint)
    module, _, function = variant.brain.partition(":")
    try:
        made: Brain = getattr(import_module(module), function)(subject)
    except (ImportError, AttributeError) as trouble:
        raise BadParameter(f"the brain {variant.brain!r} cannot be imported: {trouble}") from trouble
    return made


async def reachable(variants: Iterable[Variant], subject: Subject) -> None:
    """UserError now, and not in the first trial, if a model cannot be asked at all: a key is missing, for example."""
    for variant in variants:
        if variant.brain != REFERENCE:
            await make(variant, subject).client().close()


def named(name: str) -> Variant:
    """The variant of that name in `eval/variants/`, or in the YAML file of that path."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else VARIANTS / f"{name}.yaml"
    if not path.is_file():
        raise UnknownName("variant", name, [file.stem for file in VARIANTS.glob("*.yaml")])
    return Variant.model_validate({"name": path.stem, **(yaml.safe_load(path.read_text()) or {})})
