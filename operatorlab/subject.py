"""The contract between the lab and the systems it runs. Standard library only.

A *subject* is a system under operation. It says which members it has, how to run them, how to look
at them without touching them, which rules must hold, and how it can be broken on purpose. The lab
knows subjects only through this file; a subject needs nothing of the lab but this file.

    Subject ── blueprint(site) ──▶ Blueprint          what to run (processes, links between them)
            ── observer(deployment) ──▶ Observer ──▶ Observation ── Invariant.check ──▶ Finding
            ── faults ──▶ Fault.inject / active / heal (deployment)

Times: `at` is wall time in UTC, for people; `monotonic` is seconds of `time.monotonic()`, for
durations. Durations end in `_s` and are seconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Protocol

from operatorlab.breaking import Composite, Fault, FaultKind, GroundTruth, Part
from operatorlab.procedure import Procedure
from operatorlab.running import (
    COMPOSE,
    DEPLOYMENTS,
    PROCESSES,
    Announces,
    Blueprint,
    Change,
    ContainerDeployment,
    Deployment,
    Link,
    MemberState,
    Process,
    Site,
)

__all__ = [
    "COMPOSE", "DEPLOYMENTS", "PROCESSES", "Announces", "Blind", "Blueprint", "Change", "Composite",
    "ContainerDeployment", "Deployment", "Fault", "FaultKind", "Finding", "GroundTruth", "Holdings", "Invariant",
    "Json", "Link", "Member", "MemberState", "Node", "NodeState", "Observation", "Observer", "Part", "Procedure",
    "Process", "Severity", "Site", "Subject", "Undecided", "Violation",
]  # fmt: skip

Json = object
"""Anything `json.dumps` takes."""
_EMPTY: Mapping[str, Json] = MappingProxyType({})
_EMPTY_OF_EACH: Mapping[str, Mapping[str, Json]] = MappingProxyType({})
_NO_TOTALS: Mapping[str, Mapping[str, float]] = MappingProxyType({})


# ── members ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Member:
    """One expected member of a subject. A member that vanishes is `down`, never absent."""

    name: str
    role: str


class NodeState(StrEnum):
    """How a member looks from outside."""

    UP = "up"
    DEGRADED = "degraded"  # alive, but says itself that it cannot do its work
    DOWN = "down"  # refuses, or does not answer its liveness probe within the deadline
    UNKNOWN = "unknown"  # the observer could not look


@dataclass(frozen=True, slots=True)
class Node:
    """One member as seen in one observation. `facts` are scalars for people and invariants."""

    name: str
    role: str
    state: NodeState
    reason: str = ""
    facts: Mapping[str, Json] = field(default_factory=lambda: _EMPTY)


# ── observing ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Blind:
    """Something the observer meant to see and could not. Blind is never healthy."""

    what: str  # what was looked for, e.g. "metrics"
    component: str  # the member it would have told about
    why: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One immutable reading of a subject at one instant."""

    at: datetime
    monotonic: float
    duration_s: float
    nodes: tuple[Node, ...]
    readings: Mapping[str, Json] = field(default_factory=lambda: _EMPTY)
    blind: tuple[Blind, ...] = ()
    unwell: tuple[Node, ...] = field(init=False, repr=False, compare=False)
    """The members that are not up: of a thousand that are well, rules need not look at each again and again."""
    _by_name: Mapping[str, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unwell", tuple(node for node in self.nodes if node.state is not NodeState.UP))
        object.__setattr__(self, "_by_name", {node.name: node for node in self.nodes})

    def node(self, name: str) -> Node:
        """The member `name`; KeyError if the subject does not expect it."""
        return self._by_name[name]

    def blind_to(self, what: str, component: str) -> bool:
        """Whether `what` of `component` could not be seen."""
        return any(b.what == what and b.component == component for b in self.blind)


class Observer(Protocol):
    """Looks at a deployment. Reads only; every part of a look has a deadline of its own. It may also `Announces`."""

    async def observe(self) -> Observation:
        """Take one reading. What could not be read is in `blind`; only a bug raises."""
        ...


# ── judging ────────────────────────────────────────────────────────────────────────────────────


class Severity(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant broken by a component, with the evidence for it."""

    invariant: str
    component: str
    message: str
    severity: Severity = Severity.CRITICAL
    evidence: Mapping[str, Json] = field(default_factory=lambda: _EMPTY)

    @property
    def fingerprint(self) -> str:
        """What makes two violations the same trouble: the rule and the component, not the numbers."""
        return f"{self.invariant}/{self.component}"


@dataclass(frozen=True, slots=True)
class Undecided:
    """An invariant that could not be judged for a component; it neither holds nor is broken."""

    invariant: str
    component: str
    why: str

    @property
    def fingerprint(self) -> str:
        """The violation this would have been."""
        return f"{self.invariant}/{self.component}"


Finding = Violation | Undecided


@dataclass(frozen=True, slots=True)
class Invariant:
    """A named rule over the recent observations.

    `check(history, rule)` gets the observations of the last `window_s` seconds, oldest first and never
    empty, and returns what is broken or undecided; whatever it does not mention holds. `grace_s` is how
    long a violation must last before it becomes a ticket. `threshold` is in `unit`.
    """

    name: str
    description: str
    check: Callable[[Sequence[Observation], Invariant], Iterable[Finding]]
    severity: Severity = Severity.CRITICAL
    grace_s: float = 0.0
    window_s: float = 0.0
    threshold: float | None = None
    unit: str = ""


# ── holding ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a subject holds in its members and not in files, by the component it belongs to.

    Compared before and after a repair: what belongs to components that were well must be as it was.
    """

    settings: Mapping[str, Mapping[str, Json]] = field(default_factory=lambda: _EMPTY_OF_EACH)
    """What stays the same unless somebody changes it."""
    totals: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: _NO_TOTALS)
    """What only ever grows while nothing is lost."""
    acknowledged: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """How many of the requests that clients were told to be allowed a component has on record."""
    unseen: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The components that could not be asked, and why."""


# ── the system itself ──────────────────────────────────────────────────────────────────────────


class Subject(ABC):
    """A system under operation. Stateless: everything about one running copy is in its deployment."""

    name: ClassVar[str]
    title: ClassVar[str]
    members: ClassVar[tuple[Member, ...]]
    ports: ClassVar[tuple[str, ...]]  # port names a deployment must provide; members' own names among them
    invariants: ClassVar[tuple[Invariant, ...]]
    faults: ClassVar[tuple[type[Fault], ...]]
    composites: ClassVar[tuple[Composite, ...]] = ()
    loads: ClassVar[tuple[str, ...]] = ()  # names of load profiles; the first is the default
    runtime: ClassVar[tuple[str, ...]] = ()
    """Modules and packages that its processes import: all of its code that an operator inside a boundary may see.
    With none named, that is the folder of the subject's own file."""
    stack: ClassVar[Path | None] = None  # the folder of its compose.yaml, if it also runs as containers

    @abstractmethod
    def blueprint(self, site: Site) -> Blueprint:
        """What to run at `site`."""

    @abstractmethod
    def observer(self, deployment: Deployment) -> AbstractAsyncContextManager[Observer]:
        """Something that looks at `deployment` until the context ends."""

    @abstractmethod
    def briefing(self, deployment: Deployment) -> str:
        """What an operator is told about the system: purpose, parts, addresses, tools, declared settings."""

    def healthy(self, observation: Observation) -> bool:
        """Whether everything is up and was seen. Subjects may be stricter."""
        return not observation.blind and not observation.unwell

    def workload(self, deployment: Deployment, load: str, seed: int, record: Path) -> tuple[str, ...]:
        """The command line of a client load; it appends one JSON object a line to `record`.

        Each line tells what clients saw in one short span: `at` (ISO 8601, UTC), `monotonic`, `span_s`,
        `sent`, `allowed`, `denied`, `errors`, `p50_s`, `p99_s`. Empty where the subject brings no load.
        """
        return ()

    async def holdings(self, deployment: Deployment) -> Holdings:
        """What its members hold in memory that a repair elsewhere must leave alone. Reads only, within seconds."""
        return Holdings()

    def procedure(self) -> Procedure | None:
        """The deterministic diagnostician for the `runbook` brain, if the subject brings one."""
        return None
