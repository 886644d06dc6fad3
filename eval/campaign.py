"""A campaign: which scenarios are run with which variants, how often. A YAML file, checked as a whole before it starts.

    name: smoke
    scenarios:
      - fault: node_crash
        target: node-2
      - control: nothing
    variants: [runbook, noop]
    repeats: 2

It expands to a list of trials that is the same everywhere. The scenarios of a repeat are the same for each variant:
the same faults under the same seed, so that variants can be compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval.canonical import content_id
from eval.evidence import Timing, Trial
from eval.scenario import DIFFICULTIES, NOISES, Broken, Scenario, composites_on, faults_on, parts_of, singles_on
from eval.variant import NO_LOOKING_ONLY, REFERENCE, Variant, make, named
from operatorlab.errors import BadParameter, OperatorLabError, UnknownName
from operatorlab.registry import find_subject
from operatorlab.sandbox import Mode
from operatorlab.subject import COMPOSE, PROCESSES, Subject

CAMPAIGNS = Path(__file__).parent / "campaigns"
_STRICT = ConfigDict(frozen=True, extra="forbid")


class Wanted(BaseModel):
    """One entry of `scenarios`: exactly one of `fault`, `faults`, `composite`, `draw` or `control`."""

    model_config = _STRICT

    fault: str | None = None
    """A fault by its name, or `all`."""
    target: str | None = None
    """Its target; without one the fault's first, with `all` each."""
    faults: tuple[str, ...] = ()
    """Several at once, as `name` or `name@target`."""
    composite: str | None = None
    draw: int = Field(0, ge=0, le=100_000)
    """So many scenarios drawn from the campaign's seed."""
    difficulty: int = 1
    control: Literal["nothing", "recovered", "duplicates"] | None = None
    """`nothing` breaks nothing; `recovered` takes `fault` back before an operator is called; `duplicates` opens a
    second ticket about `fault` after its repair was verified, and calls an operator for that, too."""
    load: str | None = None
    noise: tuple[str, ...] = ()


class Stop(BaseModel):
    """When to stop before every trial was run. The trials that were not stay open, for `resume`."""

    model_config = _STRICT

    wall_s: float | None = Field(None, gt=0)
    cost_usd: float | None = Field(None, gt=0)
    crashes: int | None = Field(10, gt=0)
    """So many trials in a row that crashed: something is wrong with this machine."""
    width: float | None = Field(None, gt=0, lt=1)
    """Success is known well enough once the 95 % interval of every variant is narrower than this."""
    at_least: int = Field(20, ge=2)
    """So many trials of every variant before `width` may stop anything."""


class Campaign(BaseModel):
    """The whole matrix."""

    model_config = _STRICT

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    summary: str = ""
    subject: str = "ratelimiter"
    deployment: str = PROCESSES
    scenarios: tuple[Wanted, ...] = Field(min_length=1)
    variants: tuple[str | Variant, ...] = Field(min_length=1)
    repeats: int = Field(1, ge=1, le=10_000)
    seed: int = 7
    load: str | None = None
    timing: Timing = Timing()
    jobs: int = Field(2, ge=1, le=64)
    stop: Stop = Stop()


def campaigns() -> list[str]:
    """The names of those in `eval/campaigns/`."""
    return [file.stem for file in CAMPAIGNS.glob("*.yaml")]


def read_campaign(name_or_path: str) -> Campaign:
    """A campaign by its name in `eval/campaigns/` or by its path; BadParameter lists every problem it has."""
    path = Path(name_or_path)
    if not name_or_path.endswith((".yaml", ".yml")):
        path = CAMPAIGNS / f"{name_or_path}.yaml"
    if not path.is_file():
        raise UnknownName("campaign", name_or_path, campaigns())
    return parse_campaign(path.read_text(), str(path), path.parent)


def parse_campaign(text: str, where: str = "campaign", folder: Path = Path()) -> Campaign:
    """The campaign that `text` describes, with files it names from `folder`; BadParameter lists every problem."""
    try:
        campaign = Campaign.model_validate(yaml.safe_load(text), context={"folder": folder})
    except yaml.YAMLError as trouble:
        raise BadParameter(f"{where} is not YAML: {trouble}") from trouble
    except ValidationError as trouble:
        found = [f"{'.'.join(map(str, error['loc'])) or 'campaign'}: {error['msg']}" for error in trouble.errors()]
        raise _refused(where, found) from trouble
    return checked(campaign, where)


def checked(campaign: Campaign, where: str) -> Campaign:
    """The same campaign, if it can be run; else BadParameter lists every problem."""
    if found := list(problems(campaign)):
        raise _refused(where, found)
    return campaign


def problems(campaign: Campaign) -> Iterator[str]:
    """Everything that would keep a trial from running as it says."""
    try:
        subject = find_subject(campaign.subject)
    except OperatorLabError as trouble:
        yield f"subject: {trouble.what}"
        return
    kinds = (PROCESSES, *((COMPOSE,) if subject.stack else ()))
    if campaign.deployment not in kinds:
        yield f"deployment: {subject.name} does not run as {campaign.deployment!r}; there is {', '.join(kinds)}"
        return
    loads = (*subject.loads, "none")
    if campaign.load is not None and campaign.load not in loads:
        yield f"load: no load is called {campaign.load!r}; there is {', '.join(loads)}"
    for number, wanted in enumerate(campaign.scenarios):
        yield from (f"scenarios.{number}: {problem}" for problem in _wrong_with(wanted, subject, campaign.deployment))
    yield from _wrong_variants(campaign, subject)


def _wrong_with(wanted: Wanted, subject: Subject, deployment: str) -> Iterator[str]:
    with_fault = wanted.control in {"recovered", "duplicates"}
    ways = {
        "fault": wanted.fault if not with_fault else None, "faults": wanted.faults, "composite": wanted.composite,
        "draw": wanted.draw, "control": wanted.control,
    }  # fmt: skip
    if len(chosen := [name for name, value in ways.items() if value]) != 1:
        yield f"exactly one of {', '.join(ways)} is needed, not {', '.join(chosen) or 'none'}"
    if with_fault and not wanted.fault:
        yield f"control: `{wanted.control}` needs the fault that it is about"
    known = faults_on(subject, deployment)
    for name, target in [part.split("@") if "@" in part else (part, "") for part in _faults_named(wanted)]:
        if name not in known:
            yield f"no fault on {deployment} is called {name!r}; there is {', '.join(sorted(known))}"
        elif target and target not in known[name].targets(subject):
            yield f"{name} cannot be aimed at {target!r}, but at {', '.join(known[name].targets(subject))}"
    composites = composites_on(subject, deployment)
    if wanted.composite and wanted.composite not in composites:
        yield f"no composite on {deployment} is called {wanted.composite!r}; there is {', '.join(composites) or 'none'}"
    if wanted.difficulty not in DIFFICULTIES:
        yield f"difficulty must be one of {DIFFICULTIES}, not {wanted.difficulty}"
    if wanted.load is not None and wanted.load not in (*subject.loads, "none"):
        yield f"no load is called {wanted.load!r}; there is {', '.join(subject.loads)}"
    yield from (
        f"no noise is called {noise!r}; there is {', '.join(NOISES)}" for noise in set(wanted.noise) - {*NOISES}
    )


def _faults_named(wanted: Wanted) -> Iterator[str]:
    if wanted.fault and wanted.fault != "all":
        yield f"{wanted.fault}@{wanted.target}" if wanted.target else wanted.fault
    yield from wanted.faults


def _wrong_variants(campaign: Campaign, subject: Subject) -> Iterator[str]:
    names: set[str] = set()
    for number, wanted in enumerate(campaign.variants):
        try:
            variant = wanted if isinstance(wanted, Variant) else named(wanted)
            if variant.brain != REFERENCE:
                make(variant, subject)
            if variant.mode is Mode.OBSERVE and campaign.deployment != COMPOSE:
                yield f"variants.{number}: {NO_LOOKING_ONLY}"
        except (OperatorLabError, ValidationError) as trouble:
            yield f"variants.{number}: {trouble}"
            continue
        if variant.name in names:
            yield f"variants.{number}: there are two called {variant.name!r}"
        names.add(variant.name)


def variants_of(campaign: Campaign) -> list[Variant]:
    """The variants, read from their files where they are named."""
    return [one if isinstance(one, Variant) else named(one) for one in campaign.variants]


def expand(campaign: Campaign) -> list[Trial]:
    """Every trial, in the order they are run: all variants of a scenario side by side, repeat after repeat."""
    subject = find_subject(campaign.subject)
    variants = variants_of(campaign)
    scenarios = [one for wanted in campaign.scenarios for one in _scenarios(wanted, campaign, subject)]
    trials: list[Trial] = []
    for repeat in range(campaign.repeats):
        for scenario in scenarios:
            seeded = scenario.again(campaign.seed + repeat)
            for variant in variants:
                id_ = content_id(seeded.content, variant, repeat, campaign.timing)
                trials.append(
                    Trial(id=id_, number=len(trials), scenario=seeded, variant=variant, repeat=repeat,
                          timing=campaign.timing)
                )  # fmt: skip
    if len({trial.id for trial in trials}) < len(trials):
        raise BadParameter("the campaign has the same scenario twice", next_step="use `repeats` instead")
    return trials


def _scenarios(wanted: Wanted, campaign: Campaign, subject: Subject) -> Iterator[Scenario]:
    load = wanted.load or campaign.load or (subject.loads or ("none",))[0]

    def scenario(parts: tuple[Broken, ...], load: str = load) -> Scenario:
        return Scenario(
            subject.name, campaign.deployment, parts, load, noise=wanted.noise,
            recovered=wanted.control == "recovered", duplicated=wanted.control == "duplicates",
        )  # fmt: skip

    known = faults_on(subject, campaign.deployment)
    if wanted.fault == "all":
        for kind in singles_on(subject, campaign.deployment).values():
            yield scenario((Broken(kind.name, kind.targets(subject)[0]),))
    elif wanted.fault:
        yield scenario((Broken(wanted.fault, wanted.target or known[wanted.fault].targets(subject)[0]),))
    elif wanted.faults:
        parts = [part.partition("@") for part in wanted.faults]
        yield scenario(tuple(Broken(name, at or known[name].targets(subject)[0]) for name, _, at in parts))
    elif wanted.composite:
        composite = composites_on(subject, campaign.deployment)[wanted.composite]
        yield scenario(parts_of(composite), composite.load or load)
    elif wanted.control:
        yield scenario(())
    for number in range(wanted.draw):
        yield Scenario.draw(subject, campaign.seed * 1_000_003 + number, wanted.difficulty, campaign.deployment)


def _refused(where: str, found: list[str]) -> BadParameter:
    listed = "\n".join(f"  - {problem}" for problem in found)
    return BadParameter(f"{where} cannot be run:\n{listed}", next_step="operatorlab eval plan CAMPAIGN")
