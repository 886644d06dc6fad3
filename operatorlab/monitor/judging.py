"""What one cycle's findings mean for the tickets: pure, like the life cycle it feeds.

Whatever a rule does not mention holds, and what it cannot tell is undecided. A ticket is told `Holds`
only where nothing stands in the way: its rule was checked, said nothing against it, and the observer
was not blind to its component.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from operatorlab.clock import Instant
from operatorlab.monitor.lifecycle import advance, predates
from operatorlab.monitor.tickets import Broken, Elapsed, Holds, Policy, Signal, Ticket, Unknown
from operatorlab.subject import Undecided, Violation

EVERY = "*"
"""As the component of an `Undecided`: the rule could not be judged for any component."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a rule wants trouble to last before a ticket (`grace_s`), and how far back it looks."""

    grace_s: float = 0.0
    window_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Findings:
    """What one cycle found. `rules` are those that were checked; None: take every rule as checked."""

    violations: Sequence[Violation] = ()
    undecided: Sequence[Undecided] = ()
    rules: Mapping[str, Patience] | None = None
    blind_to: Collection[str] = ()
    """Components of which something could not be seen."""

    def patience(self, invariant: str) -> Patience:
        """The patience of a rule; none for one that is not listed."""
        return (self.rules or {}).get(invariant, Patience())

    def doubt(self, invariant: str, component: str) -> str:
        """Why it cannot be said that `invariant` holds for `component`, or nothing."""
        for finding in self.undecided:
            if finding.invariant == invariant and finding.component in {component, EVERY}:
                return finding.why or "undecided"
        if self.rules is not None and invariant not in self.rules:
            return "no such rule is checked"
        return "something of it could not be seen" if component in self.blind_to else ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A violation without a ticket, and since when it has been seen."""

    violation: Violation
    since: Instant


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a cycle changes: tickets before and after, trouble that needs a new one, trouble still in grace."""

    changed: tuple[tuple[Ticket, Ticket], ...]
    openings: tuple[Trouble, ...]
    pending: Mapping[str, Trouble] = field(default_factory=lambda: MappingProxyType({}))
    """By fingerprint; to be handed to the next call."""


def judge(
    tickets: Iterable[Ticket], findings: Findings, pending: Mapping[str, Trouble], *, seen: Instant, policy: Policy
) -> Verdict:
    """Apply what was seen in the look that began at `seen` to a run's tickets.

    `tickets` are the live ones and those closed within `policy.reopen_s`; `pending` is that of the last
    verdict. No fingerprint gets two live tickets.
    """
    live, closed = _by_fingerprint(tickets)
    broken = {v.fingerprint: v for v in reversed(findings.violations)}  # of two reports of the same trouble, the first
    changed = [(t, advance(t, _signal(t, broken, findings), seen, policy)) for t in live.values()]
    waiting = _still_pending(pending, findings, {n: v for n, v in broken.items() if n not in live}, live, seen)
    openings = []
    for name, trouble in list(waiting.items()):
        if name not in broken or seen.since(trouble.since) < findings.patience(trouble.violation.invariant).grace_s:
            continue
        del waiting[name]
        before = closed.get(name)
        if before is not None and before.recurs(seen, policy):
            changed.append((before, _reopen(before, trouble, seen, policy)))
        elif before is None or before.closed is None or not predates(seen, before.closed):
            openings.append(trouble)
    return Verdict(_differing(changed), tuple(openings), MappingProxyType(waiting))


def sweep(tickets: Iterable[Ticket], now: Instant, policy: Policy) -> tuple[tuple[Ticket, Ticket], ...]:
    """Let time pass: the tickets whose lease has run out, before and after."""
    return _differing((ticket, advance(ticket, Elapsed(), now, policy)) for ticket in tickets)


def _differing(pairs: Iterable[tuple[Ticket, Ticket]]) -> tuple[tuple[Ticket, Ticket], ...]:
    return tuple((before, after) for before, after in pairs if after is not before)


def _by_fingerprint(tickets: Iterable[Ticket]) -> tuple[dict[str, Ticket], dict[str, Ticket]]:
    """Live tickets, and of each fingerprint the one that closed last."""
    live: dict[str, Ticket] = {}
    closed: dict[str, Ticket] = {}
    for ticket in tickets:
        if ticket.is_live:
            live[ticket.fingerprint] = ticket
            continue
        other = closed.get(ticket.fingerprint)
        if other is None or (other.closed and ticket.closed and other.closed < ticket.closed):
            closed[ticket.fingerprint] = ticket
    return live, closed


def _signal(ticket: Ticket, broken: Mapping[str, Violation], findings: Findings) -> Signal:
    violation = broken.get(ticket.fingerprint)
    if violation is not None:
        patience = findings.patience(ticket.invariant)
        return Broken(violation, slack_s=patience.grace_s + patience.window_s)
    doubt = findings.doubt(ticket.invariant, ticket.component)
    return Unknown(doubt) if doubt else Holds()


def _still_pending(
    pending: Mapping[str, Trouble],
    findings: Findings,
    untracked: Mapping[str, Violation],
    live: Mapping[str, Ticket],
    seen: Instant,
) -> dict[str, Trouble]:
    """Trouble without a ticket and since when. Not being able to tell neither ends a wait nor starts one."""
    unsure = {
        name: trouble
        for name, trouble in pending.items()
        if name not in live and findings.doubt(trouble.violation.invariant, trouble.violation.component)
    }
    broken = {
        name: Trouble(violation, pending[name].since if name in pending else seen)
        for name, violation in untracked.items()
    }
    return unsure | broken


def _reopen(ticket: Ticket, trouble: Trouble, seen: Instant, policy: Policy) -> Ticket:
    return replace(advance(ticket, Broken(trouble.violation), seen, policy), violated=trouble.since)
