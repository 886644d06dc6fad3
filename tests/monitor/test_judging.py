"""What one cycle's findings mean: grace, dedup, blindness, recurrence. Pure, on a clock that is set."""

from dataclasses import replace

import pytest

from operatorlab.monitor.judging import EVERY, Findings, Patience, judge, sweep
from operatorlab.monitor.tickets import Lease, Ticket, TicketState
from operatorlab.subject import Severity, Undecided, Violation

DOWN = Violation("node_down", "node-2", "does not answer", evidence={"since": 3})
RULES = {"node_down": Patience(), "high_latency": Patience(grace_s=2, window_s=10)}
SLOW = Violation("high_latency", "node-1", "p99 is 900 ms", Severity.WARNING)


class Court:
    """Judges cycle after cycle and keeps what a board would keep."""

    def __init__(self, clock, policy):
        self.clock, self.policy = clock, policy
        self.tickets, self.pending = {}, {}

    def cycle(self, *violations, undecided=(), blind_to=(), after_s=1.0, rules=RULES):
        seen = self.clock.forward(after_s)
        findings = Findings(violations, undecided, rules, blind_to)
        verdict = judge(self.tickets.values(), findings, self.pending, seen=seen, policy=self.policy)
        self.pending = verdict.pending
        self.tickets |= {after.id: after for _, after in verdict.changed}
        for trouble in verdict.openings:
            ticket = ticket_for(trouble.violation, trouble.since, seen, f"T{len(self.tickets)}")
            self.tickets[ticket.id] = ticket
        return verdict

    @property
    def only(self):
        (ticket,) = self.tickets.values()
        return ticket


def ticket_for(violation, since, opened, id_):
    return Ticket(
        id_,
        "run",
        "I",
        violation.invariant,
        violation.component,
        violation.severity,
        TicketState.OPEN,
        violation.message,
        since,
        opened,
        since,
    )


@pytest.fixture
def court(clock, policy):
    return Court(clock, policy)


def test_without_grace_the_first_look_opens(court):
    (trouble,) = court.cycle(DOWN).openings
    assert trouble.violation is DOWN
    assert trouble.since == court.clock.now()


def test_grace_is_waited_out_and_counted_from_the_first_look(court):
    first = court.cycle(SLOW).pending["high_latency/node-1"].since
    assert not court.cycle(SLOW).openings
    (trouble,) = court.cycle(SLOW).openings
    assert trouble.since == first
    assert court.clock.now().since(first) == 2


def test_trouble_that_passes_within_its_grace_opens_nothing(court):
    for _ in range(5):
        assert not court.cycle(SLOW).openings
        assert not court.cycle().pending


def test_not_knowing_neither_ends_nor_completes_a_wait(court):
    court.cycle(SLOW)
    verdict = court.cycle(undecided=[Undecided("high_latency", "node-1", "no histogram")], after_s=5)
    assert not verdict.openings
    assert set(verdict.pending) == {"high_latency/node-1"}
    assert len(court.cycle(SLOW).openings) == 1


def test_the_same_trouble_has_one_ticket_that_tells_the_newest(court):
    court.cycle(DOWN, DOWN)
    court.cycle(replace(DOWN, message="still nothing", evidence={"since": 4}))
    assert court.only.message == "still nothing"
    assert court.only.evidence == {"since": 4}
    court.cycle(DOWN, SLOW, after_s=3)
    assert len(court.tickets) == 1


def test_of_two_reports_of_the_same_trouble_the_first_is_told(court):
    court.cycle(DOWN, replace(DOWN, message="second"))
    assert court.only.message == DOWN.message


@pytest.mark.parametrize(
    "doubt",
    [
        {"undecided": [Undecided("node_down", "node-2", "no answer in time")]},
        {"undecided": [Undecided("node_down", EVERY, "the check raised")]},
        {"blind_to": ["node-2"]},
        {"rules": {"high_latency": Patience()}},
    ],
    ids=["undecided", "rule undecided", "blind", "rule not checked"],
)
def test_what_cannot_be_told_never_closes(court, doubt):
    court.cycle(DOWN)
    court.cycle()
    for _ in range(10):
        court.cycle(**doubt)
        assert court.only.state is TicketState.OPEN
        assert court.only.holding_since is None
    court.cycle()
    court.cycle(after_s=2)
    assert court.only.state is TicketState.SELF_HEALED


def test_doubt_about_another_component_does_not_matter(court):
    court.cycle(DOWN)
    for _ in range(3):
        court.cycle(undecided=[Undecided("node_down", "node-1", "?")], blind_to=["node-3"])
    assert court.only.state is TicketState.SELF_HEALED


def test_recurrence_waits_out_its_grace_too_and_keeps_when_it_began(court):
    for _ in range(4):
        court.cycle(SLOW)
    for _ in range(3):
        court.cycle()
    assert court.only.state is TicketState.SELF_HEALED
    court.cycle(SLOW)
    began = court.clock.now()
    assert court.only.state is TicketState.SELF_HEALED
    court.cycle(SLOW, after_s=2)
    assert (court.only.state, court.only.recurrences, court.only.violated) == (TicketState.OPEN, 1, began)


def test_long_after_it_closed_the_same_trouble_is_a_new_ticket(court):
    court.cycle(DOWN)
    for _ in range(3):
        court.cycle()
    court.cycle(DOWN, after_s=601)
    assert sorted(t.state for t in court.tickets.values()) == [TicketState.OPEN, TicketState.SELF_HEALED]
    for _ in range(3):
        court.cycle()
    court.cycle(DOWN)
    assert [t.recurrences for t in court.tickets.values()] == [0, 1]


def test_an_old_look_opens_nothing_that_closed_since(court):
    court.cycle(DOWN)
    for _ in range(3):
        court.cycle()
    court.clock.forward(-1.5)
    assert not court.cycle(DOWN).openings
    assert court.only.state is TicketState.SELF_HEALED


def test_a_claim_gets_the_time_that_its_rule_needs_to_notice(court):
    for _ in range(3):
        court.cycle(SLOW)
    now = court.clock.forward(1)
    court.tickets = {"T0": replace(court.only, state=TicketState.VERIFYING, claimed=now)}
    court.cycle(SLOW, after_s=3 + 2 + 10)
    assert court.only.state is TicketState.VERIFYING
    court.cycle(SLOW, after_s=0.1)
    assert court.only.state is TicketState.OPEN


def test_sweeping_ends_only_leases_that_ran_out(clock, policy):
    now = clock.now()
    fresh = replace(ticket_for(DOWN, now, now, "A"), state=TicketState.INVESTIGATING, lease=Lease("s", 1000, 1010))
    stale = replace(fresh, id="B", lease=Lease("s", 990, 1000))
    ((before, after),) = sweep([fresh, stale], now, policy)
    assert before is stale
    assert after.state is TicketState.OPEN
