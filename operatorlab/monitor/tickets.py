"""The nouns of a ticket's life: the ticket, its states, the policy, and the signals that move it.

A ticket is one trouble (an invariant broken by a component) with a life cycle. Nothing here reads a
clock or a file: `operatorlab.monitor.lifecycle.advance` takes a ticket, a signal and an instant and
returns the ticket as it is afterwards; `docs/tickets.md` draws the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from operatorlab.clock import Instant
from operatorlab.errors import UserError
from operatorlab.subject import Json, Severity, Violation


class TicketState(StrEnum):
    """Where a ticket stands."""

    OPEN = "open"
    INVESTIGATING = "investigating"  # leased by a session
    VERIFYING = "verifying"  # somebody claims it is repaired; the monitor is checking
    ESCALATED = "escalated"  # left to people
    RESOLVED = "resolved"  # verified by the monitor
    SELF_HEALED = "self_healed"  # recovered while no operator was at it


LIVE = (TicketState.OPEN, TicketState.INVESTIGATING, TicketState.VERIFYING, TicketState.ESCALATED)
CLOSED = (TicketState.RESOLVED, TicketState.SELF_HEALED)


class Refused(UserError):
    """What was asked does not fit the state the ticket is in."""


class LeaseLost(Refused):
    """The session does not hold the lease, or no longer: it must stop acting."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient the life cycle is. Seconds, and counts."""

    hold_s: float = 2.0
    """How long an invariant must be seen to hold before its ticket closes; 0: one look is enough."""
    settle_s: float = 2.0
    """After a claim, how long trouble may still be seen before the claim counts as refuted."""
    reopen_s: float = 600.0
    """Trouble that returns within this time reopens its ticket; later it is a new one."""
    lease_s: float = 15.0
    max_attempts: int = 3
    """Failed attempts after which a ticket is left to people."""
    max_recurrences: int = 5
    """Times a ticket may come back before it is left to people."""
    backoff_s: float = 5.0
    """Pause after the first failed attempt; it doubles with each."""
    incident_window_s: float = 30.0
    """A ticket that opens within this time of the latest one joins its incident."""

    def backoff(self, attempts: int) -> float:
        """The pause after `attempts` failed attempts."""
        return float(self.backoff_s * 2 ** (attempts - 1)) if attempts else 0.0


@dataclass(frozen=True, slots=True)
class Lease:
    """A session's right to work on a ticket; monotonic seconds."""

    session: str
    granted: float
    until: float

    def ran_out(self, now: Instant) -> bool:
        """Whether it is over. A clock behind the grant means that the machine was booted since."""
        return now.monotonic >= self.until or now.monotonic < self.granted


@dataclass(frozen=True, slots=True, repr=False)
class Ticket:
    """One trouble and where it stands. `attempts` counts failed ones."""

    id: str
    run: str
    incident: str
    invariant: str
    component: str
    severity: Severity
    state: TicketState
    message: str
    violated: Instant
    """When this occurrence was first seen, grace included."""
    opened: Instant
    last_broken: Instant
    evidence: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    holding_since: Instant | None = None
    claimed: Instant | None = None
    closed: Instant | None = None
    recurrences: int = 0
    attempts: int = 0
    lease: Lease | None = None
    not_before: float | None = None
    """Monotonic seconds before which nobody may lease it."""
    held_by: str | None = None
    note: str = ""

    @property
    def fingerprint(self) -> str:
        """The rule and the component: what makes it the same trouble."""
        return f"{self.invariant}/{self.component}"

    @property
    def is_live(self) -> bool:
        """Whether there is still something to do or to confirm."""
        return self.state in LIVE

    def leasable(self, now: Instant, policy: Policy) -> bool:
        """Whether a session may take it: open, not a person's, its back-off over."""
        if self.state is not TicketState.OPEN or self.held_by is not None:
            return False
        if self.not_before is None:
            return True
        booted_since = now.monotonic < self.not_before - policy.backoff(self.attempts)
        return now.monotonic >= self.not_before or booted_since

    def recurs(self, now: Instant, policy: Policy) -> bool:
        """Whether trouble seen now is this closed ticket again."""
        return self.closed is not None and 0 <= now.since(self.closed) <= policy.reopen_s

    def __repr__(self) -> str:
        return f"<Ticket {self.id[-6:]} {self.fingerprint} {self.state.value}: {self.message:.40}>"

    def _repr_html_(self) -> str:
        from operatorlab.widgets import html

        return html.ticket(self)


# ── what can happen to a ticket ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Broken:
    """The monitor saw the invariant broken. `slack_s`: how long the rule itself looks back or waits."""

    violation: Violation
    slack_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Holds:
    """The monitor saw the invariant hold."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The monitor looked and could not tell."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Time has passed: leases may have run out."""


@dataclass(frozen=True, slots=True)
class Leased:
    session: str


@dataclass(frozen=True, slots=True)
class Renewed:
    session: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """The session says that it is repaired."""

    session: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """The session gives up on it."""

    session: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Escalated:
    """The session leaves it to people."""

    session: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class HeldByPerson:
    """A person takes it; operators keep off."""

    who: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unheld:
    """The person lets go."""


@dataclass(frozen=True, slots=True)
class ClaimedByPerson:
    """A person says that it is repaired."""

    who: str
    note: str = ""


Signal = (
    Broken
    | Holds
    | Unknown
    | Elapsed
    | Leased
    | Renewed
    | Claimed
    | Released
    | Escalated
    | HeldByPerson
    | Unheld
    | ClaimedByPerson
)
