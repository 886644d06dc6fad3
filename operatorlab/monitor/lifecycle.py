"""The life cycle of a ticket: a pure and total state machine.

`advance(ticket, signal, at, policy)` is the whole of it. Every pair of state and signal has a line in
the table `RULES`: what to do, and the states this may end in. What a state does not allow raises
`Refused` (or `LeaseLost`, which tells a session to stop). `TRANSITIONS` is the table without the
functions; the table in docs/tickets.md is checked against it.

`at` is when it happened: for what the monitor saw, the instant at which its look *began*, so that a
look begun before a claim can never confirm it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from operatorlab.clock import Instant
from operatorlab.monitor.tickets import (
    LIVE,
    Broken,
    Claimed,
    ClaimedByPerson,
    Elapsed,
    Escalated,
    HeldByPerson,
    Holds,
    Lease,
    Leased,
    LeaseLost,
    Policy,
    Refused,
    Released,
    Renewed,
    Signal,
    Ticket,
    TicketState,
    Unheld,
    Unknown,
)

OPEN, INVESTIGATING, VERIFYING, ESCALATED = LIVE
RESOLVED, SELF_HEALED = TicketState.RESOLVED, TicketState.SELF_HEALED
_Deed = Callable[[Ticket, Any, Instant, Policy], Ticket]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a signal does in a state, and the states it may end in; none where it is refused."""

    deed: _Deed
    into: frozenset[TicketState]


def advance(ticket: Ticket, signal: Signal, at: Instant, policy: Policy) -> Ticket:
    """The ticket after `signal`; the same object where nothing changes. Raises Refused or LeaseLost."""
    rule = RULES[ticket.state, type(signal)]
    after = rule.deed(ticket, signal, at, policy)
    if after.state not in rule.into:
        raise AssertionError(f"{ticket.state} with {signal} became {after.state}, which the table does not list")
    return after


def predates(at: Instant, mark: Instant) -> bool:
    """Whether `at` was before `mark`. A smaller monotonic reading at a later wall time is another boot."""
    return at.monotonic < mark.monotonic and at.at <= mark.at


# ── what the monitor saw ───────────────────────────────────────────────────────────────────────


def _broken(ticket: Ticket, signal: Broken, at: Instant, _policy: Policy) -> Ticket:
    if predates(at, ticket.last_broken):
        return ticket
    seen = signal.violation
    return replace(
        ticket,
        message=seen.message,
        severity=seen.severity,
        evidence=seen.evidence,
        last_broken=at,
        holding_since=None,
    )


def _broken_after_claim(ticket: Ticket, signal: Broken, at: Instant, policy: Policy) -> Ticket:
    """A repair needs a moment to show: only trouble seen well after the claim refutes it.

    The moment is `settle_s`, plus what the rule itself needs: its grace and the window it looks back over.
    """
    claimed = ticket.claimed or ticket.opened
    seen = _broken(ticket, signal, at, policy)
    if predates(at, claimed) or 0 <= at.since(claimed) <= policy.settle_s + signal.slack_s:
        return seen
    return _attempt_failed(seen, at, policy, "claimed as repaired, but broken again")


def _broken_again(ticket: Ticket, signal: Broken, at: Instant, policy: Policy) -> Ticket:
    """It came back. Beyond `max_recurrences` no operator is sent again."""
    if not ticket.recurs(at, policy):
        raise Refused(f"ticket {ticket.id} closed too long ago: this is a new one")
    seen = signal.violation
    too_often = ticket.recurrences >= policy.max_recurrences
    return replace(
        ticket,
        state=ESCALATED if too_often else OPEN,
        message=seen.message,
        severity=seen.severity,
        evidence=seen.evidence,
        violated=at,
        opened=at,
        last_broken=at,
        holding_since=None,
        closed=None,
        recurrences=ticket.recurrences + 1,
        note=f"came back {ticket.recurrences + 1} times" if too_often else ticket.note,
    )


def _holds(ticket: Ticket, _signal: Holds, at: Instant, _policy: Policy) -> Ticket:
    """Start the hold timer, or let it run. A mark ahead of the clock is of another boot."""
    since = ticket.holding_since
    if since is not None and at.since(since) >= 0:
        return ticket
    return ticket if predates(at, ticket.last_broken) else replace(ticket, holding_since=at)


def _holds_and_may_close(ticket: Ticket, signal: Holds, at: Instant, policy: Policy) -> Ticket:
    if ticket.claimed is not None and predates(at, ticket.claimed):
        return ticket
    ticket = _holds(ticket, signal, at, policy)
    if ticket.holding_since is None or at.since(ticket.holding_since) < policy.hold_s:
        return ticket
    untouched = ticket.state is OPEN and ticket.held_by is None
    note = f"recovered while held by {ticket.held_by}" if ticket.held_by and ticket.state is OPEN else ticket.note
    return replace(
        ticket,
        state=SELF_HEALED if untouched else RESOLVED,
        closed=at,
        claimed=None,
        held_by=None,
        not_before=None,
        note=note,
    )


def _unknown(ticket: Ticket, _signal: Unknown, _at: Instant, _policy: Policy) -> Ticket:
    return ticket if ticket.holding_since is None else replace(ticket, holding_since=None)


def _lease_watch(ticket: Ticket, _signal: Elapsed, at: Instant, policy: Policy) -> Ticket:
    if ticket.lease is not None and not ticket.lease.ran_out(at):
        return ticket
    session = ticket.lease.session if ticket.lease else "?"
    return _attempt_failed(ticket, at, policy, f"the lease of session {session} ran out")


def _nothing(ticket: Ticket, _signal: Signal, _at: Instant, _policy: Policy) -> Ticket:
    return ticket


# ── what a session does ────────────────────────────────────────────────────────────────────────


def _lease(ticket: Ticket, signal: Leased, at: Instant, policy: Policy) -> Ticket:
    if not ticket.leasable(at, policy):
        why = f"held by {ticket.held_by}" if ticket.held_by else "in its pause after a failed attempt"
        raise Refused(f"ticket {ticket.id} cannot be leased: it is {why}")
    lease = Lease(signal.session, at.monotonic, at.monotonic + policy.lease_s)
    return replace(ticket, state=INVESTIGATING, lease=lease, not_before=None)


def _renew(ticket: Ticket, signal: Renewed, at: Instant, policy: Policy) -> Ticket:
    lease = _own_lease(ticket, signal.session, at)
    return replace(ticket, lease=replace(lease, until=at.monotonic + policy.lease_s))


def _claim(ticket: Ticket, signal: Claimed, at: Instant, _policy: Policy) -> Ticket:
    _own_lease(ticket, signal.session, at)
    return _to_verify(ticket, at, signal.note)


def _release(ticket: Ticket, signal: Released, at: Instant, policy: Policy) -> Ticket:
    _own_lease(ticket, signal.session, at)
    return _attempt_failed(ticket, at, policy, signal.note)


def _escalate(ticket: Ticket, signal: Escalated, at: Instant, _policy: Policy) -> Ticket:
    _own_lease(ticket, signal.session, at)
    return replace(ticket, state=ESCALATED, lease=None, note=signal.note)


def _lost(ticket: Ticket, signal: Renewed | Claimed | Released | Escalated, _at: Instant, _policy: Policy) -> NoReturn:
    raise LeaseLost(f"session {signal.session} does not hold ticket {ticket.id}: it is {ticket.state.value}")


# ── what a person does ─────────────────────────────────────────────────────────────────────────


def _hold(ticket: Ticket, signal: HeldByPerson, _at: Instant, _policy: Policy) -> Ticket:
    """Keep operators off. A session that works on it loses its lease; that is not counted against it."""
    state = OPEN if ticket.state is INVESTIGATING else ticket.state
    return replace(ticket, state=state, lease=None, held_by=signal.who, note=signal.note or ticket.note)


def _unhold(ticket: Ticket, _signal: Unheld, _at: Instant, _policy: Policy) -> Ticket:
    if ticket.held_by is None:
        raise Refused(f"ticket {ticket.id} is held by nobody")
    return replace(ticket, held_by=None)


def _claim_by_person(ticket: Ticket, signal: ClaimedByPerson, at: Instant, _policy: Policy) -> Ticket:
    return _to_verify(ticket, at, f"{signal.who}: {signal.note}" if signal.note else f"claimed by {signal.who}")


def _refuse(ticket: Ticket, signal: Signal, _at: Instant, _policy: Policy) -> NoReturn:
    raise Refused(f"ticket {ticket.id} is {ticket.state.value}: {type(signal).__name__} does not fit")


# ── shared steps ───────────────────────────────────────────────────────────────────────────────


def _own_lease(ticket: Ticket, session: str, at: Instant) -> Lease:
    lease = ticket.lease
    if lease is None or lease.session != session or lease.ran_out(at):
        raise LeaseLost(
            f"session {session} does not hold ticket {ticket.id}",
            cause="its lease ran out, or a person took the ticket",
        )
    return lease


def _to_verify(ticket: Ticket, at: Instant, note: str) -> Ticket:
    """Only what is seen from now on counts."""
    return replace(
        ticket, state=VERIFYING, lease=None, claimed=at, holding_since=None, not_before=None, note=note or ticket.note
    )


def _attempt_failed(ticket: Ticket, at: Instant, policy: Policy, note: str) -> Ticket:
    attempts = min(
        ticket.attempts + 1, policy.max_attempts
    )  # a person may try beyond it; sessions are never sent again
    gone = replace(ticket, lease=None, claimed=None, attempts=attempts, note=note or ticket.note)
    if attempts >= policy.max_attempts:
        return replace(gone, state=ESCALATED, not_before=None)
    return replace(gone, state=OPEN, not_before=at.monotonic + policy.backoff(attempts))


# ── the table ──────────────────────────────────────────────────────────────────────────────────


def _rule(deed: _Deed, *into: TicketState) -> Rule:
    return Rule(deed, frozenset(into))


_SESSION_SIGNALS: tuple[type[Signal], ...] = (Renewed, Claimed, Released, Escalated)
_REFUSED = _rule(_refuse)
_LOST = {signal: _rule(_lost) for signal in _SESSION_SIGNALS}


def _closed(state: TicketState) -> dict[type[Signal], Rule]:
    stays = _rule(_nothing, state)
    return {
        **_LOST,
        Broken: _rule(_broken_again, OPEN, ESCALATED),
        Holds: stays,
        Unknown: stays,
        Elapsed: stays,
        Leased: _REFUSED,
        HeldByPerson: _REFUSED,
        Unheld: _REFUSED,
        ClaimedByPerson: _REFUSED,
    }


_BY_STATE: dict[TicketState, dict[type[Signal], Rule]] = {
    OPEN: {
        **_LOST,
        Broken: _rule(_broken, OPEN),
        Holds: _rule(_holds_and_may_close, OPEN, SELF_HEALED, RESOLVED),
        Unknown: _rule(_unknown, OPEN),
        Elapsed: _rule(_nothing, OPEN),
        Leased: _rule(_lease, INVESTIGATING),
        HeldByPerson: _rule(_hold, OPEN),
        Unheld: _rule(_unhold, OPEN),
        ClaimedByPerson: _rule(_claim_by_person, VERIFYING),
    },
    INVESTIGATING: {
        Broken: _rule(_broken, INVESTIGATING),
        Holds: _rule(_holds, INVESTIGATING),
        Unknown: _rule(_unknown, INVESTIGATING),
        Elapsed: _rule(_lease_watch, INVESTIGATING, OPEN, ESCALATED),
        Leased: _REFUSED,
        Renewed: _rule(_renew, INVESTIGATING),
        Claimed: _rule(_claim, VERIFYING),
        Released: _rule(_release, OPEN, ESCALATED),
        Escalated: _rule(_escalate, ESCALATED),
        HeldByPerson: _rule(_hold, OPEN),
        Unheld: _REFUSED,
        ClaimedByPerson: _rule(_claim_by_person, VERIFYING),
    },
    VERIFYING: {
        **_LOST,
        Broken: _rule(_broken_after_claim, VERIFYING, OPEN, ESCALATED),
        Holds: _rule(_holds_and_may_close, VERIFYING, RESOLVED),
        Unknown: _rule(_unknown, VERIFYING),
        Elapsed: _rule(_nothing, VERIFYING),
        Leased: _REFUSED,
        HeldByPerson: _rule(_hold, VERIFYING),
        Unheld: _rule(_unhold, VERIFYING),
        ClaimedByPerson: _REFUSED,
    },
    ESCALATED: {
        **_LOST,
        Broken: _rule(_broken, ESCALATED),
        Holds: _rule(_holds_and_may_close, ESCALATED, RESOLVED),
        Unknown: _rule(_unknown, ESCALATED),
        Elapsed: _rule(_nothing, ESCALATED),
        Leased: _REFUSED,
        HeldByPerson: _rule(_hold, ESCALATED),
        Unheld: _rule(_unhold, ESCALATED),
        ClaimedByPerson: _rule(_claim_by_person, VERIFYING),
    },
    RESOLVED: _closed(RESOLVED),
    SELF_HEALED: _closed(SELF_HEALED),
}

RULES: Mapping[tuple[TicketState, type[Signal]], Rule] = {
    (state, signal): rule for state, rules in _BY_STATE.items() for signal, rule in rules.items()
}
"""What every signal does in every state."""

TRANSITIONS: Mapping[tuple[TicketState, type[Signal]], frozenset[TicketState]] = {
    pair: rule.into for pair, rule in RULES.items()
}
"""The states every pair may end in; empty where the signal is refused."""
