"""A variant: who operates, and with what. A YAML file in `eval/variants/`, or a mapping in a campaign.

    name: runbook-hurried
    brain: runbook
    budget: {turns: 3}
    gate: deny_destructive

Everything in it reaches the operator or is refused by name: nothing is ignored. `prompt`, `hints` and `tools` are told
of in `given.py`. `mode: observe` needs a deployment that enforces it: labs of containers.
`brain` may also be `package.module:function`: called with the subject, it returns a `Brain`.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from eval.given import Hints, Prompt, Tools, instructions
from operatorlab.agent.brains import BRAINS, EFFORTS, Brain, make_brain
from operatorlab.agent.budget import Budget
from operatorlab.agent.gate import Gate
from operatorlab.agent.prompts import Instructions
from operatorlab.errors import BadParameter, UnknownName
from operatorlab.sandbox import Mode
from operatorlab.subject import Subject

VARIANTS = Path(__file__).parent / "variants"
REFERENCE = "reference"
"""The brain that runs the subject's own reference fix: it knows the answer, and shows what can be scored at best."""
GIVEN = ("effort", "prompt", "hints", "tools", "gate", "mode")
"""What an operator can be given besides a brain, its model and a budget."""
_READS_NOTHING = ("runbook", "noop", REFERENCE)
"""Brains that read no system prompt."""
_REFUSED = {
    ("gate", "approve"): "the gate `approve` needs a person who says yes or no, and none waits in a trial",
}
NO_LOOKING_ONLY = (
    "mode: a lab of processes has no boundary that lets an operator look and not touch; one of containers has it "
    "(deployment: compose)"
)


class Limits(BaseModel):
    """What a session may spend; the defaults are those of `operatorlab.agent.Budget`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: int = Field(40, gt=0)
    tokens: int = Field(2_000_000, gt=0)
    cost_usd: float = Field(5.0, gt=0)
    wall_s: float = Field(60.0, gt=0)
    command_s: float = Field(20.0, gt=0)


class Variant(BaseModel):
    """One configuration of an operator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=60)
    brain: str = "runbook"
    model: str | None = None
    endpoint: str | None = None
    budget: Limits = Limits()
    effort: str | None = None
    prompt: Prompt | None = None
    hints: Hints | None = None
    tools: Tools | None = None
    gate: Gate = Gate.NONE
    mode: Mode = Mode.OPERATE

    @field_validator("effort", "gate", "mode", mode="before")
    @classmethod
    def _known(cls, given: Any, info: ValidationInfo) -> Any:
        """Said by name what there is, and why what there could be is not."""
        if why := _REFUSED.get((str(info.field_name), given if isinstance(given, str) else "")):
            raise ValueError(why)
        known = {"effort": EFFORTS, "gate": tuple(Gate), "mode": tuple(Mode)}[str(info.field_name)]
        if given is not None and given not in known:
            raise ValueError(f"no {info.field_name} is called {given!r}; there is {', '.join(known)}")
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Variant:
        if self.brain not in (*BRAINS, REFERENCE) and ":" not in self.brain:
            known = ", ".join((*BRAINS, REFERENCE))
            raise ValueError(f"no brain is called {self.brain!r}; there is {known}, or package.module:function")
        if self.brain != "claude" and (self.model or self.endpoint):
            raise ValueError(f"the brain {self.brain!r} takes no model and no endpoint")
        if self.brain != "claude" and self.effort:
            raise ValueError(f"the brain {self.brain!r} takes no effort")
        if self.brain in _READS_NOTHING and (self.prompt or self.hints):
            raise ValueError(f"the brain {self.brain!r} reads neither a prompt nor hints")
        within_s = self.tools.command_s if self.tools else None
        if within_s is not None and self.budget.command_s not in (Limits().command_s, within_s):
            raise ValueError("tools.command_s and budget.command_s are the same limit: give one of them")
        return self

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is not given is not written: a trial is called as it was before there was such a thing to give."""
        usual = {name: field.default for name, field in type(self).model_fields.items() if name in GIVEN}
        return {name: value for name, value in write(self).items() if name not in usual or value != usual[name]}

    def limits(self) -> Budget:
        """What a session may spend, as the operator takes it."""
        tools = self.tools.model_dump(exclude_none=True) if self.tools else {}
        return Budget(**{**self.budget.model_dump(), **tools})

    def instructions(self) -> Instructions:
        """What the operator is told otherwise than usual."""
        return instructions(self.prompt, self.hints)


def make(variant: Variant, subject: Subject) -> Brain:
    """The brain of a variant. UserError if it cannot be had; the reference brain is made by the trial."""
    if ":" not in variant.brain:
        return make_brain(
            variant.brain, subject=subject, model=variant.model, base_url=variant.endpoint, effort=variant.effort
        )
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
    given = {"name": path.stem, **(yaml.safe_load(path.read_text()) or {})}
    return Variant.model_validate(given, context={"folder": path.parent})
