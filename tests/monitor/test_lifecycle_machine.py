"""A random walk through a ticket's life: whatever happens in whatever order, the promises hold."""

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from operatorlab.clock import Instant
from operatorlab.monitor.lifecycle import TRANSITIONS, advance
from operatorlab.monitor.telling import KINDS, what_happened
from operatorlab.monitor.tickets import (
    Broken,
    Claimed,
    ClaimedByPerson,
    Elapsed,
    Escalated,
    HeldByPerson,
    Holds,
    Leased,
    Policy,
    Refused,
    Released,
    Renewed,
    Ticket,
    TicketState,
    Unheld,
    Unknown,
)
from operatorlab.subject import Severity, Violation

CLOSED = {TicketState.RESOLVED, TicketState.SELF_HEALED}
FROM_MONITOR = (Broken, Holds, Unknown)
SESSIONS = st.sampled_from(["s1", "s2"])
VIOLATION = Violation("node_down", "node-2", "does not answer")


class TicketLife(RuleBasedStateMachine):
    """Keeps its own record of what the monitor saw, and holds the ticket against it."""

    @initialize(
        hold=st.sampled_from([0.0, 0.5, 2.0, 7.0]),
        settle=st.sampled_from([0.0, 3.0]),
        attempts=st.integers(1, 4),
        backoff=st.sampled_from([0.0, 5.0]),
    )
    def begin(self, hold, settle, attempts, backoff):
        self.policy = Policy(
            hold_s=hold, settle_s=settle, max_attempts=attempts, backoff_s=backoff, max_recurrences=3, reopen_s=60
        )
        self.now = Instant(1000.0, datetime(2026, 1, 1, tzinfo=UTC))
        at = self.now
        self.ticket = Ticket(
            "T", "run", "I", "node_down", "node-2", Severity.CRITICAL, TicketState.OPEN, "m", at, at, at
        )
        self.holding: Instant | None = None  # since when every look said that it holds
        self.claimed: Instant | None = None
        self.claims_of_people = 0

    def tell(self, signal):
        before = self.ticket
        try:
            after = advance(before, signal, self.now, self.policy)
        except Refused:
            return None
        self.ticket = after
        assert after.state in TRANSITIONS[before.state, type(signal)]
        assert what_happened(before, after) in KINDS | {""}
        assert after.state is before.state or what_happened(before, after)
        if isinstance(signal, Broken | Unknown):
            self.holding = None
        elif isinstance(signal, Holds):
            self.holding = self.holding or self.now
        self.check_closing(before, after, signal)
        return after

    def check_closing(self, before, after, signal):
        if before.state in CLOSED or after.state not in CLOSED:
            return
        assert isinstance(signal, Holds)
        assert self.holding is not None
        assert self.now.since(self.holding) >= self.policy.hold_s
        assert before.state is not TicketState.INVESTIGATING
        if before.state is TicketState.VERIFYING:
            assert self.claimed is None or self.holding >= self.claimed

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 2.0, 5.0, 20.0, 100.0]))
    def wait(self, seconds):
        self.now = Instant(self.now.monotonic + seconds, self.now.at + timedelta(seconds=seconds))

    @rule()
    def reboot(self):
        self.now = Instant(self.now.monotonic - 1e6, self.now.at + timedelta(seconds=60))
        self.holding = self.claimed = None  # nobody looked meanwhile, and no look is older than this boot

    @rule(slack=st.sampled_from([0.0, 4.0]))
    def broken(self, slack):
        self.tell(Broken(VIOLATION, slack))

    @rule()
    def holds(self):
        self.tell(Holds())

    @rule(times=st.integers(2, 5), step=st.sampled_from([0.5, 1.0, 3.0]))
    def holds_for_a_while(self, times, step):
        for _ in range(times):
            self.wait(step)
            self.tell(Holds())

    @rule()
    def unknown(self):
        self.tell(Unknown())

    @rule()
    def elapsed(self):
        self.tell(Elapsed())

    @rule(session=SESSIONS)
    def lease(self, session):
        held = self.ticket.held_by
        if self.tell(Leased(session)):
            assert held is None

    @rule(session=SESSIONS)
    def renew(self, session):
        if after := self.tell(Renewed(session)):
            assert after.lease.session == session

    @rule(session=SESSIONS)
    def claim(self, session):
        if self.tell(Claimed(session)):
            self.claimed, self.holding = self.now, None

    @rule(session=SESSIONS)
    def release(self, session):
        self.tell(Released(session))

    @rule(session=SESSIONS)
    def escalate(self, session):
        self.tell(Escalated(session))

    @rule()
    def hold(self):
        self.tell(HeldByPerson("ada"))

    @rule()
    def unhold(self):
        self.tell(Unheld())

    @rule()
    def claim_by_hand(self):
        if self.tell(ClaimedByPerson("ada")):
            self.claimed, self.holding = self.now, None

    @precondition(lambda self: self.ticket.state is TicketState.INVESTIGATING)
    @rule()
    def the_session_dies(self):
        self.wait(self.policy.lease_s)
        self.tell(Elapsed())
        assert self.ticket.state in {TicketState.OPEN, TicketState.ESCALATED}

    @invariant()
    def a_lease_belongs_to_an_investigation(self):
        assert (self.ticket.lease is not None) == (self.ticket.state is TicketState.INVESTIGATING)

    @invariant()
    def a_claim_belongs_to_a_verification(self):
        assert (self.ticket.claimed is not None) == (self.ticket.state is TicketState.VERIFYING)

    @invariant()
    def attempts_are_bounded(self):
        assert 0 <= self.ticket.attempts <= self.policy.max_attempts
        if self.ticket.attempts == self.policy.max_attempts:
            leasable = self.ticket.leasable(self.now, self.policy)
            assert not leasable or self.ticket.recurrences

    @invariant()
    def closed_means_closed(self):
        assert (self.ticket.closed is not None) == (self.ticket.state in CLOSED)
        if self.ticket.state in CLOSED:
            assert self.ticket.held_by is None

    @invariant()
    def what_a_person_holds_nobody_leases(self):
        assert not (self.ticket.held_by and self.ticket.lease)


TestTicketLife = TicketLife.TestCase
TestTicketLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
