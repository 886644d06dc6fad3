"""How a subject is broken on purpose: faults with their ground truth, and faults made of faults.

Part of the contract of `subject.py`, which names all of it. Standard library only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from operatorlab.running import DEPLOYMENTS, Deployment

if TYPE_CHECKING:
    from operatorlab.subject import Json, Subject


class FaultKind(StrEnum):
    """What can be wrong, as a diagnosis names it."""

    CRASH = "crash"
    HANG = "hang"
    SLOW = "slow"
    PARTITION = "partition"
    PACKET_LOSS = "packet_loss"
    DEPENDENCY_DOWN = "dependency_down"
    MISCONFIGURATION = "misconfiguration"
    BAD_ROLLOUT = "bad_rollout"
    RESOURCE_CPU = "resource_cpu"
    RESOURCE_MEMORY = "resource_memory"
    RESOURCE_DISK = "resource_disk"
    RESOURCE_FDS = "resource_fds"
    RESOURCE_CONNECTIONS = "resource_connections"
    DATA_CORRUPTION = "data_corruption"
    DATA_LOSS = "data_loss"
    CLOCK_SKEW = "clock_skew"
    OVERLOAD = "overload"
    RETRY_STORM = "retry_storm"
    SCHEDULING = "scheduling"
    LEADERSHIP = "leadership"
    QUORUM_LOSS = "quorum_loss"
    CREDENTIALS = "credentials"
    ROGUE_CLIENT = "rogue_client"
    OBSERVABILITY = "observability"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What a fault really does: the answer a diagnosis is scored against. Never shown to an operator."""

    component: str
    kind: FaultKind
    mechanism: str
    causal_path: tuple[str, ...] = ()
    """What leads to what, in sentences."""
    spread: tuple[tuple[str, str], ...] = ()
    """Whose trouble becomes that of which other component: (cause, effect). Empty where only clients suffer."""


class Fault(ABC):
    """Something broken on purpose, aimed at one target.

    `inject` returns a memo (JSON) with whatever `active` and `heal` need later, perhaps in another
    process. `heal` must work after the target was restarted, replaced or removed, and twice in a row.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    kind: ClassVar[FaultKind]
    expected: ClassVar[tuple[str, ...]]  # invariants of which at least one must fire; `name/component`: and blame that
    also: ClassVar[tuple[str, ...]] = ()  # invariants that its harm, or the way it comes about, may break besides
    self_healing: ClassVar[bool] = False
    latent: ClassVar[bool] = False  # it opens nothing by itself; once something else sets it off, that stays
    forgetful: ClassVar[bool] = False  # while it is in force, clients are granted what no member has a record of
    found_within_s: ClassVar[float] = 5.0  # from injection to the first expected ticket, without grace
    deployments: ClassVar[tuple[str, ...]] = DEPLOYMENTS  # where its mechanism exists

    def __init__(self, target: str) -> None:
        self.target = target

    def __repr__(self) -> str:
        return f"<Fault {self.name} on {self.target}>"

    @classmethod
    @abstractmethod
    def targets(cls, subject: Subject) -> tuple[str, ...]:
        """What this fault can be aimed at; the first is the default."""

    @abstractmethod
    def truth(self) -> GroundTruth:
        """The right diagnosis."""

    @abstractmethod
    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Break it."""

    @abstractmethod
    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the mechanism is in force right now, from the system's own state."""

    @abstractmethod
    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Undo it."""

    def signs(self) -> frozenset[str]:
        """The fingerprints of the tickets of which one must open. Without a word in `expected` they blame right."""
        right = self.truth().component
        return frozenset(one if "/" in one else f"{one}/{right}" for one in self.expected)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """The reference fix: what a good operator runs in its shell, in turn. Never shown to one; empty: unknown."""
        return ()


@dataclass(frozen=True, slots=True)
class Part:
    """One single fault within a composite."""

    fault: type[Fault]
    target: str
    after_s: float = 0.0  # since the composite began
    lasts_s: float | None = None  # its trigger is taken back after that long; None: it stays


@dataclass(frozen=True, slots=True)
class Composite:
    """Several faults as one: concurrent, one after the other, flapping, or a trigger that goes while its harm stays."""

    name: str
    summary: str
    parts: tuple[Part, ...]
    load: str | None = None  # the load profile it needs; None: any
    harmless: bool = False  # a control: nothing that a monitor with its usual grace may open a ticket for
