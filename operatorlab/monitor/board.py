"""The board: the tickets of one run, kept in the audit file, safe across processes.

The monitor judges in one process while sessions lease and claim in another and people hold tickets in
a third. Each change is one transaction together with the event that tells it (`ticket.<what>`,
`incident.<what>`). What the file must not forget is in the file; the monitor's patience (trouble still
in its grace period) is in the memory of the board that judges.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence

from operatorlab.audit import AuditStore
from operatorlab.clock import Clock, Instant, SystemClock
from operatorlab.errors import TimedOut
from operatorlab.monitor.judging import Findings, Patience, Trouble, judge, sweep
from operatorlab.monitor.ledger import Ledger, new_id
from operatorlab.monitor.lifecycle import advance
from operatorlab.monitor.telling import payload_of, what_happened
from operatorlab.monitor.tickets import (
    Claimed,
    ClaimedByPerson,
    Escalated,
    HeldByPerson,
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
from operatorlab.monitor.watchers import watchers
from operatorlab.subject import Undecided, Violation

_POLL_S = 0.1


class Board:
    """The tickets of the run `run_id`. Use one board a thread, like its store."""

    def __init__(
        self, store: AuditStore, run_id: str, policy: Policy | None = None, clock: Clock | None = None
    ) -> None:
        self.run_id = run_id
        self.policy = policy or Policy()
        self._store = store
        self._clock: Clock = clock or SystemClock()
        self._ledger = Ledger(store, run_id)
        self._pending: Mapping[str, Trouble] = {}
        self._judged_before = False

    def __repr__(self) -> str:
        return f"<Board {self.run_id}: {len(self._ledger.live())} live tickets>"

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    def tickets(self, *states: TicketState) -> list[Ticket]:
        """The run's tickets in these states (default: in any), oldest first."""
        return self._ledger.in_states(states)

    def live(self) -> list[Ticket]:
        """The tickets that are not closed."""
        return self._ledger.live()

    def counts(self) -> dict[TicketState, int]:
        """How many tickets the run has, by state."""
        return self._ledger.counts()

    def ticket(self, short: str) -> Ticket:
        """A ticket by its id, or by the first or last four or more characters of it."""
        return self._ledger.ticket(short)

    def incident_tickets(self, incident: str) -> list[Ticket]:
        """The tickets of an incident. UnknownName if there is none."""
        return self._ledger.incident_tickets(incident)

    @property
    def pending(self) -> tuple[Trouble, ...]:
        """Trouble this board has judged that is still within its grace period."""
        return tuple(self._pending.values())

    def next_incident(self) -> str | None:
        """The oldest incident a session may take: a ticket of it can be leased and nobody works on it."""
        with self._store.atomic():
            now = self._sweep()
            live = self._ledger.live()
        busy = {ticket.incident for ticket in live if ticket.state is TicketState.INVESTIGATING}
        free = (t.incident for t in live if t.incident not in busy and t.leasable(now, self.policy))
        return next(free, None)

    async def settled(self, incident: str, timeout_s: float | None = None) -> list[Ticket]:
        """Wait until no ticket of `incident` is being verified; its tickets. TimedOut after `timeout_s`."""
        return await self._until(incident, _decided, timeout_s)

    async def closed(self, incident: str, timeout_s: float | None = None) -> list[Ticket]:
        """Wait until every ticket of `incident` is closed; its tickets. TimedOut after `timeout_s`."""
        return await self._until(incident, lambda t: not t.is_live, timeout_s)

    async def verdict(self, ticket: str, timeout_s: float | None = None) -> Ticket:
        """Wait until a ticket is no longer being verified; the ticket. TimedOut after `timeout_s`."""
        (one,) = await self._poll(lambda: [self.ticket(ticket)], _decided, timeout_s)
        return one

    async def _until(self, incident: str, done: Callable[[Ticket], bool], timeout_s: float | None) -> list[Ticket]:
        return await self._poll(lambda: self.incident_tickets(incident), done, timeout_s)

    async def _poll(
        self, read: Callable[[], list[Ticket]], done: Callable[[Ticket], bool], timeout_s: float | None
    ) -> list[Ticket]:
        # Another process may make the change, so this asks the file.
        deadline = None if timeout_s is None else self._clock.now().monotonic + timeout_s
        while True:
            tickets = read()
            if all(done(ticket) for ticket in tickets):
                return tickets
            if deadline is not None and self._clock.now().monotonic >= deadline:
                stand = ", ".join(f"{t.fingerprint} is {t.state.value}" for t in tickets)
                raise TimedOut(f"no verdict after {timeout_s:g} s: {stand}")
            await asyncio.sleep(_POLL_S)

    # ── the monitor ────────────────────────────────────────────────────────────────────────────

    def judge(
        self,
        violations: Sequence[Violation],
        undecided: Sequence[Undecided],
        at: Instant,
        *,
        rules: Mapping[str, Patience] | None = None,
        blind_to: Collection[str] = (),
    ) -> list[Ticket]:
        """What a look that began at `at` means for the tickets; those that changed visibly. Monitor only.

        `rules` are the rules that were checked and their patience; without it, every rule counts as checked
        and has no grace. `blind_to` names components of which something could not be seen.
        """
        findings = Findings(violations, undecided, rules, blind_to)
        if not violations and self._judged_before and not self._ledger.live():
            # Nobody else opens tickets, so this needs no lock; patience must still be told that it holds.
            self._pending = judge((), findings, self._pending, seen=at, policy=self.policy).pending
            return []
        with self._store.atomic():
            self._sweep()
            if not self._judged_before:
                self._distrust_the_gap(at)
            recent = self._ledger.live_or_closed_since(at.monotonic - self.policy.reopen_s)
            verdict = judge(recent, findings, self._pending, seen=at, policy=self.policy)
            changed = [after for before, after in verdict.changed if self._keep(before, after, seen=at)]
            changed += [self._open(trouble) for trouble in verdict.openings]
            self._close_incidents()
        self._pending, self._judged_before = verdict.pending, True
        return changed

    def _distrust_the_gap(self, at: Instant) -> None:
        """A monitor that has just begun did not see that anything held before; another one may have."""
        if any(watcher.pid != os.getpid() for watcher in watchers(self._store, self.run_id)):
            return
        for ticket in self._ledger.live():
            self._keep(ticket, advance(ticket, Unknown("the monitor has just begun"), at, self.policy), seen=at)

    def _open(self, trouble: Trouble) -> Ticket:
        now, seen = self._clock.now(), trouble.violation
        ticket = Ticket(
            id=new_id(),
            run=self.run_id,
            incident=self._incident_for_a_new_ticket(now),
            invariant=seen.invariant,
            component=seen.component,
            severity=seen.severity,
            state=TicketState.OPEN,
            message=seen.message,
            evidence=seen.evidence,
            violated=trouble.since,
            opened=now,
            last_broken=trouble.since,
        )
        self._ledger.insert(ticket)
        self._tell(None, ticket, seen=trouble.since)
        return ticket

    def _incident_for_a_new_ticket(self, now: Instant) -> str:
        latest = self._ledger.latest_incident()
        if latest is not None and 0 <= now.monotonic - latest[1] <= self.policy.incident_window_s:
            return latest[0]
        incident = self._ledger.open_incident(now)
        self._store.append("incident.opened", {"incident": incident}, run=self.run_id, at=now)
        return incident

    def _close_incidents(self) -> None:
        now = self._clock.now()
        for incident in self._ledger.close_incidents(now):
            self._store.append("incident.closed", {"incident": incident}, run=self.run_id, at=now)

    # ── sessions ───────────────────────────────────────────────────────────────────────────────

    def lease(self, incident: str, session: str) -> list[Ticket]:
        """Take what can be leased of an incident; all the session now holds. Refused if that is nothing."""
        with self._store.atomic():
            now = self._sweep()
            tickets = self._ledger.incident_tickets(incident)
            others = {t.lease.session for t in tickets if t.lease and t.lease.session != session}
            if others:
                raise Refused(f"session {others.pop()} works on incident {incident}")
            held = [self._adopt(ticket, session, now) for ticket in tickets]
        mine = [ticket for ticket in held if ticket.lease]
        if not mine:
            stand = ", ".join(f"{t.fingerprint} {_standing(t)}" for t in tickets)
            raise Refused(f"nothing of incident {incident} can be leased now: {stand}")
        return mine

    def renew(self, incident: str, session: str) -> list[Ticket]:
        """Keep the lease, and take tickets that joined the incident since. LeaseLost if nothing is held."""
        renewed = self._by_session(incident, session, Renewed(session))
        with self._store.atomic():
            now = self._clock.now()
            joined = [t for t in self._ledger.incident_tickets(incident) if t.leasable(now, self.policy)]
            return renewed + [self._adopt(ticket, session, now) for ticket in joined]

    def claim(self, incident: str, session: str, note: str = "") -> list[Ticket]:
        """Say that it is repaired: everything the session holds is verified now. LeaseLost if that is nothing."""
        return self._by_session(incident, session, Claimed(session, note))

    def release(self, incident: str, session: str, note: str = "") -> list[Ticket]:
        """Give up: open again after a pause, or escalated after too many attempts. LeaseLost if nothing is held."""
        return self._by_session(incident, session, Released(session, note))

    def escalate(self, incident: str, session: str, note: str = "") -> list[Ticket]:
        """Leave it to people. LeaseLost if nothing is held."""
        return self._by_session(incident, session, Escalated(session, note))

    def _adopt(self, ticket: Ticket, session: str, now: Instant) -> Ticket:
        if not ticket.leasable(now, self.policy):
            return ticket
        after = advance(ticket, Leased(session), now, self.policy)
        self._keep(ticket, after, session=session)
        return after

    def _by_session(self, incident: str, session: str, signal: Signal) -> list[Ticket]:
        with self._store.atomic():
            now = self._sweep()
            tickets = self._ledger.incident_tickets(incident)
            mine = [ticket for ticket in tickets if ticket.lease and ticket.lease.session == session]
            after = [advance(ticket, signal, now, self.policy) for ticket in mine]
            for old, new in zip(mine, after, strict=True):
                self._keep(old, new, session=session)
        if not mine:  # raised after the commit: a lease found to have run out stays recorded as such
            raise LeaseLost(
                f"session {session} holds nothing of incident {incident}",
                cause="its lease ran out, a person took the tickets, or they are settled",
            )
        return after

    # ── people ─────────────────────────────────────────────────────────────────────────────────

    def hold(self, ticket: str, who: str, note: str = "") -> Ticket:
        """Keep operators off a ticket; a session that works on it loses its lease."""
        return self._by_person(ticket, HeldByPerson(who, note), who)

    def unhold(self, ticket: str) -> Ticket:
        """Let operators at it again."""
        return self._by_person(ticket, Unheld(), "")

    def resolve_by_hand(self, ticket: str, who: str, note: str = "") -> Ticket:
        """A person's claim that it is repaired; the monitor confirms or refutes it."""
        return self._by_person(ticket, ClaimedByPerson(who, note), who)

    def _by_person(self, short: str, signal: Signal, who: str) -> Ticket:
        with self._store.atomic():
            now = self._sweep()
            before = self._ledger.ticket(short)
            after = advance(before, signal, now, self.policy)
            self._keep(before, after, who=who)
        return after

    # ── shared ─────────────────────────────────────────────────────────────────────────────────

    def _sweep(self) -> Instant:
        """End leases that have run out; the instant of now. Inside a transaction, so no grant is later."""
        now = self._clock.now()
        for before, after in sweep(self._ledger.live(), now, self.policy):
            self._keep(before, after)
        return now

    def _keep(
        self, before: Ticket, after: Ticket, *, session: str | None = None, who: str = "", seen: Instant | None = None
    ) -> bool:
        """Write a changed ticket, and its event if people would call it a change; whether they would."""
        if after is before:
            return False
        self._ledger.update(after)
        if not before.is_live and self._ledger.reopen_incident(after.incident):
            self._store.append("incident.reopened", {"incident": after.incident}, run=self.run_id)
        return self._tell(before, after, session=session, who=who, seen=seen)

    def _tell(
        self,
        before: Ticket | None,
        after: Ticket,
        *,
        session: str | None = None,
        who: str = "",
        seen: Instant | None = None,
    ) -> bool:
        what = what_happened(before, after, by_session=session is not None)
        if what:
            extra = {"who": who} if who else {}
            looked = {"seen_mono": seen.monotonic} if seen else {}
            payload = payload_of(before, after) | extra | looked
            at = self._clock.now()
            self._store.append(f"ticket.{what}", payload, run=self.run_id, session=session, ticket=after.id, at=at)
        return bool(what)


def _decided(ticket: Ticket) -> bool:
    return ticket.state is not TicketState.VERIFYING


def _standing(ticket: Ticket) -> str:
    """Why a ticket cannot be leased, in a few words."""
    if ticket.held_by:
        return f"held by {ticket.held_by}"
    return "pausing after a failed attempt" if ticket.state is TicketState.OPEN else ticket.state.value
