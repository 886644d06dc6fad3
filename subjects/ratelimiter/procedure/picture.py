"""What was seen in one look at the system. Pure data; `None` stands for "could not be seen"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

LOOPBACK = "127.0.0.1"


class Resource(StrEnum):
    """What a container may be given too little of."""

    CPU = "CPUs"
    MEMORY = "bytes of memory"


@dataclass(frozen=True, slots=True)
class Share:
    """What a container has, and what it is declared to have: CPUs, or bytes."""

    has: float
    declared: float


@dataclass(frozen=True, slots=True)
class ProcessSeen:
    """A process as its supervisor lists it, or a container; and the kernel's word on it."""

    name: str  # as the system is described: node-2
    handle: str  # as the one who starts it wants it: for supervisorctl perhaps with a group before it
    state: str  # RUNNING, STOPPED, EXITED, FATAL, …; of a container also PAUSED, MISSING, …
    detail: str = ""
    pid: int | None = None
    kernel_state: str = ""  # the first letter of ps' STAT; T is stopped by a signal
    container: str = ""  # its name, where there is one
    networks: tuple[str, ...] | None = None  # that a container is on; None where there is no such thing
    short_of: Mapping[Resource, Share] = field(default_factory=dict)
    starved: bool = False  # the kernel ended it for want of memory

    @property
    def running(self) -> bool:
        return self.state == "RUNNING"

    @property
    def frozen(self) -> bool:
        return self.state == "PAUSED" or (self.running and self.kernel_state == "T")

    @property
    def disconnected(self) -> bool:
        return self.networks == ()

    @property
    def hampered(self) -> bool:
        """Whether what it is run in explains that it does not answer, or late."""
        return self.frozen or self.disconnected or bool(self.short_of)


@dataclass(frozen=True, slots=True)
class ProbeSeen:
    """One HTTP answer. `status` 0 is no answer within the deadline."""

    status: int
    body: str = ""


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """One node: its configuration file, and how it answered."""

    name: str
    port: int
    redis_port: int
    limits_file: str
    health: ProbeSeen | None = None
    ready: ProbeSeen | None = None
    host: str = LOOPBACK
    redis_host: str = LOOPBACK
    lives_inside: bool | None = None  # asked inside of its container
    path: str = ""  # of its file, where that can be written
    file: Mapping[str, object] = field(default_factory=dict)
    told: Mapping[str, object] = field(default_factory=dict)  # at its start, as it says itself

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def lives(self) -> bool:
        return self.health is not None and self.health.status == 200

    @property
    def silent(self) -> bool:
        return self.health is not None and self.health.status != 200

    @property
    def is_ready(self) -> bool:
        return self.ready is not None and self.ready.status == 200


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """One link: its rule file, and the rules it says are in force (empty: it says nothing)."""

    name: str  # of its process
    source: str  # the node whose path to Redis it is
    path: str
    rule: Mapping[str, object]
    in_force: Mapping[str, object] = field(default_factory=dict)
    carries: bool | None = None  # whether PING through it was answered

    @property
    def passes(self) -> bool:
        """Whether everything may pass at once, as far as rules tell."""
        return not (self.obstacles or obstacles(self.in_force))

    @property
    def obstacles(self) -> dict[str, object]:
        """What in its file keeps bytes back."""
        return obstacles(self.rule)

    @property
    def opened(self) -> dict[str, object]:
        """Its rule without them."""
        return {**self.rule, **{name: False if name == "drop" else 0.0 for name in self.obstacles}}


def obstacles(rule: Mapping[str, object]) -> dict[str, object]:
    """What in a link's rule keeps bytes back."""
    return {name: rule[name] for name in ("drop", "delay_s") if rule.get(name)}


@dataclass(frozen=True, slots=True)
class VolumeSeen:
    """A data volume, and the files on it that are large and not Redis' own."""

    used_percent: int
    foreign: tuple[str, ...] = ()

    @property
    def full(self) -> bool:
        return self.used_percent >= 95


@dataclass(frozen=True, slots=True)
class RedisSeen:
    """Redis asked directly, past the links. `reply` is what PING printed; `info` of INFO."""

    port: int
    reply: str | None = None
    info: Mapping[str, str] = field(default_factory=dict)
    inside: str = ""  # what PING printed inside of its container
    volume: VolumeSeen | None = None

    @property
    def answers(self) -> bool:
        return self.reply == "PONG"

    @property
    def serves(self) -> bool:
        """Whether nothing about it explains that a node cannot write."""
        return self.answers and self.info.get("role", "master") == "master" and not self.out_of_space

    @property
    def out_of_space(self) -> bool:
        return (self.volume is not None and self.volume.full) or self.info.get("aof_last_write_status") == "err"


@dataclass(frozen=True, slots=True)
class LimitsSeen:
    """What one node says of the limits."""

    node: str
    window_s: object
    default: object
    declared: Mapping[str, object]
    overrides: Mapping[str, object]

    def same_declaration(self, other: LimitsSeen) -> bool:
        mine, others = (self.window_s, self.default, self.declared), (other.window_s, other.default, other.declared)
        return mine == others


@dataclass(frozen=True, slots=True)
class Picture:
    """One look at everything. `unseen` says what could not be looked at, and why."""

    processes: Mapping[str, ProcessSeen] = field(default_factory=dict)
    nodes: tuple[NodeSeen, ...] = ()
    unusable: Mapping[str, str] = field(default_factory=dict)  # files that configure nothing, by node
    links: tuple[LinkSeen, ...] = ()
    redis: RedisSeen | None = None
    limits: tuple[LimitsSeen, ...] = ()
    declared: LimitsSeen | None = None  # etc/limits.json
    unseen: tuple[str, ...] = ()

    def process(self, name: str) -> ProcessSeen | None:
        return self.processes.get(name)

    def node(self, name: str) -> NodeSeen | None:
        return next((node for node in self.nodes if node.name == name), None)

    def link_of(self, node: str) -> LinkSeen | None:
        return next((link for link in self.links if link.source == node), None)

    def owner(self, process: str) -> str:
        """The member a process belongs to: a link is a part of the node whose path it is."""
        return next((link.source for link in self.links if link.name == process), process)
