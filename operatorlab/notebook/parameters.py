"""The parameters of a notebook: scalars with a type, a default and a meaning, checked before anything starts.

A notebook names its model in its metadata, `{"operatorlab": {"parameters": "quickstart"}}`; one that names
none gets a model made from its `parameters` cell. papermill only warns of unknown names; here they are errors.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from operatorlab.errors import BadParameter, UnknownName, UserError
from operatorlab.notebook.files import load, tags

Scalar = str | int | float | bool


class Parameters(BaseModel):
    """Base of all parameter models. Fields are `str`, `int`, `float` or `bool`, each with a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def checked(self) -> Self:
        """Names resolved and checked against what there is; raises UnknownName. Returns what is to be used."""
        return self


class Quickstart(Parameters):
    """What `notebooks/00_quickstart.ipynb` takes."""

    subject: str = Field("ratelimiter", description="the system to run (`operatorlab.subjects()`)")
    fault: str = Field("node_crash", description="what to break (`operatorlab faults list`)")
    target: str = Field("node-2", description="the member to aim the fault at")
    brain: str = Field("runbook", description="who repairs: runbook (deterministic, offline), claude, noop")
    seed: int = Field(7, description="seed of the client load", ge=0)
    load: str = Field("steady", description="the client load")
    deployment: str = Field("processes", description="how to run it: processes, or compose for containers")

    def checked(self) -> Self:
        """The same, with a target that suits the fault: one that was not chosen gives way to the fault's first."""
        from operatorlab.registry import find_subject

        subject = find_subject(self.subject)
        faults = {kind.name: kind for kind in subject.faults}
        if self.fault not in faults:
            raise UnknownName("fault", self.fault, faults, next_step="operatorlab faults list")
        if self.load not in subject.loads:
            raise UnknownName("load", self.load, subject.loads)
        if self.deployment not in faults[self.fault].deployments:
            raise UnknownName(f"deployment for {self.fault}", self.deployment, faults[self.fault].deployments)
        targets = faults[self.fault].targets(subject)
        if self.target in targets:
            return self
        if "target" in self.model_fields_set:
            raise UnknownName(f"target of {self.fault}", self.target, targets, next_step=f"-p target {targets[0]}")
        return self.model_copy(update={"target": targets[0]})


MODELS: Mapping[str, type[Parameters]] = {"quickstart": Quickstart}


def model_of(notebook: Path) -> type[Parameters]:
    """The parameter model of `notebook`; UserError if it is no notebook or its `parameters` cell holds no scalars."""
    named = load(notebook).metadata.get("operatorlab", {}).get("parameters")
    if named is not None:
        if named not in MODELS:
            raise UnknownName("parameter model", str(named), MODELS, next_step=f"look at the metadata of {notebook}")
        return MODELS[named]
    fields = {name: (type(value), value) for name, value in defaults(notebook).items()}
    return create_model("FromCell", __base__=Parameters, **fields)  # type: ignore[call-overload,no-any-return]


def defaults(notebook: Path) -> dict[str, Scalar]:
    """What the cell tagged `parameters` assigns; empty without such a cell."""
    cells = [cell for cell in load(notebook).cells if "parameters" in tags(cell)]
    return dict(_assigned(cells[0].source, notebook)) if cells else {}


def parse(model: type[Parameters], given: Mapping[str, str]) -> Parameters:
    """Turn words from a command line into `model`; UnknownName or BadParameter say which word and why."""
    for name in given:
        if name not in model.model_fields:
            raise UnknownName("parameter", name, model.model_fields, next_step="operatorlab run NOTEBOOK --parameters")
    try:
        return model.model_validate(dict(given)).checked()
    except ValidationError as trouble:
        wrong = [f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg'].lower()}" for e in trouble.errors()]
        raise BadParameter("; ".join(wrong), next_step="operatorlab run NOTEBOOK --parameters") from trouble


@dataclass(frozen=True, slots=True)
class Listed:
    """One parameter, for people."""

    name: str
    type: str
    default: Scalar
    meaning: str


def listing(model: type[Parameters]) -> list[Listed]:
    """The parameters of `model`, in order."""
    return [
        Listed(name, getattr(field.annotation, "__name__", "any"), field.default, field.description or "")
        for name, field in model.model_fields.items()
    ]


def _assigned(source: str, notebook: Path) -> Iterator[tuple[str, Scalar]]:
    for statement in ast.parse(source).body:
        targets: Iterable[ast.expr]
        match statement:
            case ast.Assign(targets=targets, value=value):
                pass
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                targets = [target]
            case _:
                raise _not_scalar(notebook, statement)
        for name in targets:
            if not isinstance(name, ast.Name):
                raise _not_scalar(notebook, statement)
            yield name.id, _scalar(value, notebook, statement)


def _scalar(value: ast.expr, notebook: Path, statement: ast.stmt) -> Scalar:
    try:
        literal = ast.literal_eval(value)
    except ValueError:
        raise _not_scalar(notebook, statement) from None
    if not isinstance(literal, str | int | float | bool):
        raise _not_scalar(notebook, statement)
    return literal


def _not_scalar(notebook: Path, statement: ast.stmt) -> UserError:
    rule = "may only assign texts, numbers and booleans"
    return UserError(f"the parameters cell of {notebook} {rule}: {ast.unparse(statement)}")
