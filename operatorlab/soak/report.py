"""What a soak saw, and which of its tickets were false. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from operatorlab.monitor.judging import Patience
from operatorlab.monitor.tickets import Ticket

_SEEN_LATER_S = 1.0
"""An absence may still be seen for so long after it ended: a look takes a moment, and so does finding one's feet."""


@dataclass(frozen=True, slots=True)
class Away:
    """A member that was taken away for a moment on purpose, restarted or paused. Monotonic seconds."""

    member: str
    began: float
    ended: float

    @property
    def lasted_s(self) -> float:
        """For how long."""
        return self.ended - self.began

    def explains(self, ticket: Ticket, grace_s: float) -> bool:
        """Whether the ticket is a true one: the absence outlasted the grace of its rule, if only by a busy machine."""
        seen = self.began <= ticket.violated.monotonic <= self.ended + _SEEN_LATER_S
        return seen and ticket.component == self.member and self.lasted_s >= grace_s


@dataclass(slots=True)
class PhaseReport:
    """One phase, all its rounds together. `broken`: in how many windows each rule was seen broken, within its grace."""

    name: str
    windows: int = 0
    lasted_s: float = 0.0
    broken: Counter[str] = field(default_factory=Counter)
    away: list[Away] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)

    def row(self) -> dict[str, str]:
        """For people."""
        longest = max((one.lasted_s for one in self.away), default=0.0)
        return {
            "phase": self.name,
            "windows": str(self.windows),
            "seconds": f"{self.lasted_s:.0f}",
            "members taken away": f"{len(self.away)}, longest {longest:.2f} s" if self.away else "",
            "seen broken within grace": ", ".join(f"{name} {n}×" for name, n in sorted(self.broken.items())),
            "tickets": str(len(self.tickets)),
        }


@dataclass(frozen=True, slots=True)
class SoakReport:
    """A whole soak. A window is one look of the monitor, judged by every rule."""

    run_id: str
    phases: tuple[PhaseReport, ...]
    patience: Mapping[str, Patience]

    @property
    def windows(self) -> int:
        """How many there were."""
        return sum(phase.windows for phase in self.phases)

    @property
    def lasted_s(self) -> float:
        """All phases together."""
        return sum(phase.lasted_s for phase in self.phases)

    @property
    def true(self) -> list[Ticket]:
        """Tickets of members that were away for longer than their rule's grace."""
        return [ticket for ticket in self._tickets() if self._is_true(ticket)]

    @property
    def false(self) -> list[Ticket]:
        """All others."""
        return [ticket for ticket in self._tickets() if not self._is_true(ticket)]

    @property
    def ok(self) -> bool:
        """Whether there was no false ticket."""
        return not self.false

    def lines(self) -> list[str]:
        """What it comes to, for people."""
        windows = f"{self.windows} windows (looks, each judged by {len(self.patience)} rules)"
        told = [f"{len(self.false)} false tickets in {windows} and {self.lasted_s / 60:.1f} minutes"]
        told += [f"false: {ticket.fingerprint}: {ticket.message}" for ticket in self.false]
        told += [f"not counted, it was away for longer than the grace: {t.fingerprint}" for t in self.true]
        return told

    def json(self) -> dict[str, object]:
        """The same for programs."""
        phases = [
            {"name": p.name, "windows": p.windows, "lasted_s": round(p.lasted_s, 3), "broken": dict(p.broken),
             "away_s": [round(one.lasted_s, 3) for one in p.away], "tickets": _fingerprints(p.tickets)}
            for p in self.phases
        ]  # fmt: skip
        return {
            "run": self.run_id, "ok": self.ok, "windows": self.windows, "lasted_s": round(self.lasted_s, 3),
            "false_tickets": _fingerprints(self.false), "outlasted_grace": _fingerprints(self.true), "phases": phases,
        }  # fmt: skip

    def _tickets(self) -> Iterable[Ticket]:
        return (ticket for phase in self.phases for ticket in phase.tickets)

    def _is_true(self, ticket: Ticket) -> bool:
        grace_s = self.patience.get(ticket.invariant, Patience()).grace_s
        return any(away.explains(ticket, grace_s) for phase in self.phases for away in phase.away)


def _fingerprints(tickets: Iterable[Ticket]) -> list[str]:
    return [ticket.fingerprint for ticket in tickets]
