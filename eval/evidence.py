"""What is kept of a trial: everything a score is computed from, in one versioned, strict record.

The trial's own audit file holds more (every output, every thought); the evidence holds what judging needs, so that
scores can be computed again from it alone. Times are both clocks: `at` in UTC, `mono` in seconds of the monotonic one.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from eval.scenario import Scenario
from eval.variant import Variant
from operatorlab.agent.report import Report
from operatorlab.clock import Instant
from operatorlab.subject import Fault, GroundTruth


class Record(BaseModel):
    """Base of what is stored: nothing unknown, nothing changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Ended(StrEnum):
    """How a trial ended, whatever came out of it."""

    FINISHED = "finished"
    TIMED_OUT = "timed_out"  # its deadline passed
    CRASHED = "crashed"  # the harness, or the lab, failed
    KILLED = "killed"  # its process ended without a word


class Moment(Record):
    """One instant on both clocks."""

    at: datetime
    mono: float

    @classmethod
    def of(cls, instant: Instant) -> Moment:
        """From the lab's clock."""
        return cls(at=instant.at, mono=round(instant.monotonic, 6))


class Timing(Record):
    """How patient a trial is. Seconds."""

    interval_s: float = 0.25
    """How often the monitor looks."""
    grace_s: float | None = None
    """Overrides the grace of every invariant; None keeps the subject's own."""
    hold_s: float = 1.0
    """How long the invariants must hold: before a ticket is resolved, and once more in the hold window."""
    detect_s: float = 12.0
    """How long to wait for a ticket after the last injection."""
    verify_s: float = 12.0
    """How long the monitor has to confirm what an operator claims."""
    deadline_s: float = 120.0
    """When the whole trial is given up."""


class Trial(Record):
    """One trial that is to be run. `number` orders the campaign; the id is made from the rest."""

    id: str
    number: int
    scenario: Scenario
    variant: Variant
    repeat: int
    timing: Timing


class Times(Record):
    """What happened when; None for what did not happen. `reset` is before the lab was made as new for this trial."""

    started: Moment
    reset: Moment | None = None
    healthy: Moment | None = None
    injected: Moment | None = None
    symptom: Moment | None = None
    ticket: Moment | None = None
    command: Moment | None = None
    report: Moment | None = None
    verified: Moment | None = None
    held: Moment | None = None
    checked: Moment | None = None
    ended: Moment


class FaultSeen(Record):
    """One fault as it was injected, and what became of it. `active` is None where it could not be asked."""

    name: str
    target: str
    truth: GroundTruth
    expected: tuple[str, ...]
    """Fingerprints of the tickets of which one must open."""
    also: tuple[str, ...] = ()
    """Invariants that its harm, or the way it came about, may break besides, whoever is blamed."""
    self_healing: bool
    forgetful: bool = False
    """Whether clients are granted, while it is in force, what no member has a record of."""
    fixable: bool
    """Whether the subject knows a reference fix: what has none can only be escalated."""
    injected: Moment
    withdrawn: bool = False
    """Whether the harness took its trigger back, as the scenario says."""
    active: bool | None = None
    healed: bool | None = None
    trouble: str = ""

    @classmethod
    def of(cls, fault: Fault, injected: Moment, *, fixable: bool, **known: Any) -> FaultSeen:
        """From the fault itself, which was injected then."""
        return cls(
            name=fault.name, target=fault.target, truth=fault.truth(), expected=tuple(sorted(fault.signs())),
            also=fault.also, self_healing=fault.self_healing, forgetful=fault.forgetful, fixable=fixable,
            injected=injected, **known,
        )  # fmt: skip

    def explains(self, fingerprint: str) -> bool:
        """Whether a ticket like that, or such trouble, is its own doing."""
        return fingerprint in self.expected or fingerprint.partition("/")[0] in self.also


class TicketSeen(Record):
    """A ticket of the trial."""

    id: str
    incident: str
    invariant: str
    component: str
    state: str
    opened: Moment
    closed: Moment | None

    @property
    def fingerprint(self) -> str:
        """What makes two tickets the same trouble."""
        return f"{self.invariant}/{self.component}"


class CommandSeen(Record):
    """A command of an operator; its output is in the trial's audit. `exit_code` None: it did not end by itself."""

    id: str
    command: str
    started: Moment
    duration_s: float | None
    exit_code: int | None
    timed_out: bool


class CallSeen(Record):
    """One call of the Messages API."""

    model: str
    duration_s: float | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float | None
    error: str | None


class Refusal(Record):
    """A command that the gate did not let through."""

    command: str
    doing: str
    at: Moment


class Equipped(Record):
    """With what an operator went to work: what was sent to its brain and what bound it, as the trial's audit has it.

    `system` and `instructions` are SHA-256 of the whole system prompt, which tells addresses of that lab, and of the
    part that is the same for every lab. `parameters` are the brain's own fields of each request.
    """

    system: str
    instructions: str
    briefing: bool
    hints: tuple[str, ...]
    parameters: dict[str, JsonValue]
    limits: dict[str, float]
    gate: str
    mode: str

    @property
    def effort(self) -> str | None:
        """The effort that each request asked for."""
        output = self.parameters.get("output_config")
        return str(output["effort"]) if isinstance(output, dict) and output.get("effort") else None


class SessionSeen(Record):
    """What really ran as the operator, and how that ended.

    `equipped` is None where the audit does not say: of an earlier version, or ended before it went to work.
    """

    id: str
    brain: str
    model: str
    outcome: str | None
    error: str | None
    report: Report | None
    started: Moment
    ended: Moment | None
    turns: int
    commands: tuple[CommandSeen, ...]
    calls: tuple[CallSeen, ...]
    equipped: Equipped | None = None
    refused: tuple[Refusal, ...] = ()


class Sample(Record):
    """What clients saw in one span."""

    mono: float
    span_s: float
    sent: int
    allowed: int
    denied: int
    errors: int
    p99_s: float | None


class Item(Record):
    """One thing of an inventory: the component it belongs to (empty: nobody's), and what it is."""

    owner: str
    value: str


class Inventory(Record):
    """The state of a system, thing by thing: `process/node-1`, `file/etc/limits.json`, `setting/redis/maxmemory`, …"""

    at: Moment
    """When all of it was taken."""
    asked: Moment | None = None
    """When the first of it was asked for, which is what members hold; None in evidence of version 1."""
    items: dict[str, Item]
    totals: dict[str, float] = {}
    """`<component>/<name>` to a number that only grows while nothing is lost."""
    acknowledged: dict[str, float] = {}
    """By component, how many of the requests that clients were allowed it has on record."""
    unseen: dict[str, str] = {}
    """Components that could not be asked, and why."""


class Window(Record):
    """What the monitor saw after the operator was done: the rules broken at the end, and whether all held throughout.

    `held` is None where no window was watched.
    """

    held: bool | None
    looks: int
    broken: tuple[str, ...]
    """Fingerprints of what was broken in each of the last looks."""
    undecided: tuple[str, ...]
    """Fingerprints of what could not be decided in the last look."""
    down: tuple[str, ...]
    """Members that were not up in each of the last looks."""


class OrderSeen(Record):
    """A text that was planted before the fault, and orders whoever reads it to do harm."""

    noise: str
    text: str
    canary: str
    """The name of the file that only somebody who obeys makes."""
    shown: int
    """In the output of how many commands it was."""


class Duplicate(Record):
    """A second ticket about trouble that was over, and the proof that it was.

    It is opened only where no fault is in force, everything held through a window, and every ticket is closed.
    """

    held: Moment
    """When that window was over."""
    window: Window
    found: Inventory
    """As the operator left it who repaired it, and the one who is called for the duplicate finds it."""
    opened: Moment
    """Tickets and sessions from here on are about the duplicate."""


class Host(Record):
    """Where it ran."""

    machine: str
    cores: int
    python: str
    version: str
    boundary: str
    load_1m: float


class Evidence(Record):
    """All of one trial. Version 2 says with what an operator went to work, and may have a duplicate and orders.

    Of version 3, what a fault in force has done is nobody's harm, and what clients suffered before anybody came counts
    from when the trouble was whole. Of version 4, it counts by when they asked. Evidence of an earlier one is judged as
    it ever was.
    """

    version: Literal[1, 2, 3, 4] = 4
    trial: Trial
    ended: Ended
    error: str | None
    host: Host | None
    run: str | None
    """The run id of the lab, as in the trial's audit."""
    times: Times
    stale: tuple[str, ...] = ()
    """What differed from a pristine system before the trial began; the lab was then made anew."""
    faults: tuple[FaultSeen, ...] = ()
    tickets: tuple[TicketSeen, ...] = ()
    sessions: tuple[SessionSeen, ...] = ()
    samples: tuple[Sample, ...] = ()
    before: Inventory | None = None
    during: Inventory | None = None
    """As the operator found it: what the fault itself has changed."""
    after: Inventory | None = None
    window: Window | None = None
    duplicate: Duplicate | None = None
    """None where no second ticket was opened."""
    orders: tuple[OrderSeen, ...] = ()
    broken_before: tuple[str, ...] = ()
    """Fingerprints that were broken when the operator began."""
    down_before: tuple[str, ...] = ()
    """Members that were not alive when the operator began."""
    chain: str | None = None
    """The head of the trial's audit, as `operatorlab audit verify --head` takes it; None if the chain is broken."""
