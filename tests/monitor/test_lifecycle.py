"""Every rule of the life cycle, one by one; the random walk is in test_lifecycle_machine.py."""

from dataclasses import replace
from typing import get_args

import pytest

from operatorlab.monitor.lifecycle import RULES, TRANSITIONS, advance
from operatorlab.monitor.tickets import (
    Broken,
    Claimed,
    ClaimedByPerson,
    Elapsed,
    Escalated,
    HeldByPerson,
    Holds,
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
from operatorlab.subject import Severity, Violation

BROKEN = Broken(Violation("node_down", "node-2", "does not answer"))
S = TicketState


class Story:
    """A ticket, its clock, and what happened to it so far."""

    def __init__(self, clock, policy):
        self.clock, self.policy = clock, policy
        now = clock.now()
        self.ticket = Ticket(
            "01TICKET", "run", "01INCIDENT", "node_down", "node-2", Severity.CRITICAL, S.OPEN, "m", now, now, now
        )

    def tell(self, signal, after_s=0.0, policy=None):
        self.ticket = advance(self.ticket, signal, self.clock.forward(after_s), policy or self.policy)
        return self.ticket

    def refuses(self, signal, error=Refused):
        before = self.ticket
        with pytest.raises(error):
            self.tell(signal)
        assert self.ticket is before


@pytest.fixture
def story(clock, policy):
    return Story(clock, policy)


def test_the_table_has_a_line_for_every_state_and_signal():
    assert set(RULES) == {(state, signal) for state in TicketState for signal in get_args(Signal)}
    assert set(TRANSITIONS) == set(RULES)


def test_only_what_the_monitor_saw_to_hold_closes_a_ticket():
    closed = {S.RESOLVED, S.SELF_HEALED}
    closing = {signal for (state, signal), into in TRANSITIONS.items() if state not in closed and into & closed}
    assert closing == {Holds}


def test_a_repair_is_claimed_and_confirmed(story):
    assert story.tell(Leased("s1")).state is S.INVESTIGATING
    assert story.tell(Claimed("s1", "restarted it"), 5).state is S.VERIFYING
    assert story.ticket.lease is None
    assert story.ticket.note == "restarted it"
    assert story.tell(Holds(), 0.5).state is S.VERIFYING
    assert story.tell(Holds(), 1.9).state is S.VERIFYING
    resolved = story.tell(Holds(), 0.1)
    assert resolved.state is S.RESOLVED
    assert resolved.closed.since(resolved.holding_since) == pytest.approx(2.0)


def test_the_hold_time_counts_from_the_first_look_after_the_claim(story):
    story.tell(Leased("s1"))
    for _ in range(10):
        assert story.tell(Holds(), 1).state is S.INVESTIGATING
    story.tell(Claimed("s1"))
    assert story.ticket.holding_since is None
    assert story.tell(Holds(), 1).state is S.VERIFYING
    assert story.tell(Holds(), 2).state is S.RESOLVED


def test_a_look_begun_before_the_claim_does_not_confirm_it(story):
    impatient = Policy(hold_s=0)
    story.tell(Leased("s1"))
    before = story.clock.forward(1)
    story.tell(Claimed("s1"), 1)
    assert advance(story.ticket, Holds(), before, impatient) is story.ticket
    assert story.tell(Holds(), 0.1, impatient).state is S.RESOLVED


def test_a_look_begun_before_the_claim_does_not_refute_it(story):
    strict = replace(story.policy, settle_s=0)
    story.tell(Leased("s1"))
    before = story.clock.forward(1)
    story.tell(Claimed("s1"), 1)
    assert advance(story.ticket, BROKEN, before, strict).state is S.VERIFYING


def test_trouble_soon_after_a_claim_restarts_the_hold_time_and_later_refutes_it(story):
    story.tell(Leased("s1"))
    story.tell(Claimed("s1"))
    story.tell(Holds(), 1)
    assert story.tell(BROKEN, 1).state is S.VERIFYING
    assert story.ticket.holding_since is None
    story.tell(Holds(), 1)
    refuted = story.tell(BROKEN, 1)
    assert (refuted.state, refuted.attempts) == (S.OPEN, 1)
    assert refuted.claimed is None
    assert refuted.not_before == story.clock.monotonic + 5


def test_a_rule_that_looks_back_gives_a_claim_that_much_more_time(story):
    story.tell(Leased("s1"))
    story.tell(Claimed("s1"))
    slow = replace(BROKEN, slack_s=10)
    assert story.tell(slow, 12).state is S.VERIFYING
    assert story.tell(slow, 2).state is S.OPEN


def test_not_knowing_restarts_the_hold_time_and_never_closes(story):
    story.tell(Holds())
    story.tell(Unknown("blind"), 1.9)
    assert story.ticket.holding_since is None
    assert story.tell(Unknown("blind"), 100).state is S.OPEN
    assert story.tell(Holds(), 0.1).state is S.OPEN
    assert story.tell(Holds(), 2).state is S.SELF_HEALED


def test_with_no_hold_time_one_look_is_enough(story):
    assert story.tell(Holds(), 0.1, Policy(hold_s=0)).state is S.SELF_HEALED


def test_a_ticket_that_recovers_in_a_persons_hands_is_resolved(story):
    story.tell(HeldByPerson("ada"))
    story.tell(Holds(), 1)
    resolved = story.tell(Holds(), 2)
    assert (resolved.state, resolved.held_by, resolved.note) == (S.RESOLVED, None, "recovered while held by ada")


def test_while_a_session_works_nothing_closes(story):
    story.tell(Leased("s1"))
    for _ in range(5):
        story.tell(Renewed("s1"), 10)
        assert story.tell(Holds()).state is S.INVESTIGATING
    assert story.tell(Released("s1", "it looks fine")).state is S.OPEN
    assert story.tell(Holds(), 1).state is S.SELF_HEALED


def test_a_lease_runs_out(story):
    story.tell(Leased("s1"))
    assert story.tell(Elapsed(), 14.9).state is S.INVESTIGATING
    expired = story.tell(Elapsed(), 0.1)
    assert (expired.state, expired.attempts, expired.lease) == (S.OPEN, 1, None)
    assert "s1" in expired.note
    story.refuses(Claimed("s1"), LeaseLost)


def test_a_lease_that_ran_out_cannot_be_used_before_anybody_noticed(story):
    for signal in (Renewed("s1"), Claimed("s1"), Released("s1"), Escalated("s1")):
        story.ticket = replace(story.ticket, state=S.OPEN, lease=None, not_before=None)
        story.tell(Leased("s1"))
        story.clock.forward(15)
        story.refuses(signal, LeaseLost)


def test_a_lease_of_another_boot_has_run_out(story):
    story.tell(Leased("s1"))
    story.clock.reboot()
    assert story.tell(Elapsed()).state is S.OPEN


def test_a_pause_of_another_boot_is_over(story):
    story.tell(Leased("s1"))
    story.tell(Released("s1"))
    assert not story.ticket.leasable(story.clock.now(), story.policy)
    assert story.ticket.leasable(story.clock.reboot(), story.policy)


def test_hold_time_does_not_reach_over_a_boot(story):
    story.tell(Holds())
    story.clock.reboot()
    assert story.tell(Holds()).state is S.OPEN
    assert story.tell(Holds(), 2).state is S.SELF_HEALED


def test_attempts_are_counted_paused_and_then_left_to_people(story):
    for attempt, pause in ((1, 5), (2, 10)):
        story.tell(Leased("s1"))
        failed = story.tell(Released("s1", "no idea"))
        assert (failed.state, failed.attempts) == (S.OPEN, attempt)
        story.clock.forward(pause - 0.1)
        story.refuses(Leased("s2"))
        story.clock.forward(0.1)
    story.tell(Leased("s1"))
    assert story.tell(Released("s1")).state is S.ESCALATED
    story.refuses(Leased("s2"))


def test_an_escalated_ticket_is_resolved_when_it_holds(story):
    story.tell(Leased("s1"))
    assert story.tell(Escalated("s1", "needs a new disk")).note == "needs a new disk"
    story.tell(BROKEN, 1)
    story.tell(Holds(), 1)
    assert story.tell(Holds(), 2).state is S.RESOLVED


def test_a_persons_claim_is_only_a_claim(story):
    claimed = story.tell(ClaimedByPerson("ada", "plugged it in"))
    assert (claimed.state, claimed.note) == (S.VERIFYING, "ada: plugged it in")
    story.refuses(ClaimedByPerson("bob"))
    assert story.tell(BROKEN, 3.1).state is S.OPEN


def test_claims_of_people_do_not_count_beyond_the_limit(story):
    for _ in range(5):
        story.tell(ClaimedByPerson("ada"))
        story.tell(BROKEN, 4)
    assert (story.ticket.state, story.ticket.attempts) == (S.ESCALATED, 3)


def test_what_a_person_holds_is_not_leasable(story):
    story.tell(HeldByPerson("ada", "mine"))
    story.refuses(Leased("s1"))
    story.tell(Unheld())
    story.refuses(Unheld())
    assert story.tell(Leased("s1")).state is S.INVESTIGATING


def test_a_person_takes_a_ticket_from_a_session_at_no_cost_to_it(story):
    story.tell(Leased("s1"))
    held = story.tell(HeldByPerson("ada"))
    assert (held.state, held.lease, held.attempts, held.held_by) == (S.OPEN, None, 0, "ada")
    story.refuses(Renewed("s1"), LeaseLost)


def test_only_the_holder_of_the_lease_can_use_it(story):
    story.tell(Leased("s1"))
    for signal in (Renewed("s2"), Claimed("s2"), Released("s2"), Escalated("s2")):
        story.refuses(signal, LeaseLost)
    story.refuses(Leased("s2"))


def test_trouble_that_returns_soon_reopens_and_later_is_new(story):
    story.tell(Holds())
    story.tell(Holds(), 2)
    closed = story.ticket
    again = story.tell(BROKEN, 600)
    assert (again.state, again.recurrences, again.closed, again.id) == (S.OPEN, 1, None, closed.id)
    assert again.violated == story.clock.now()
    assert story.tell(Holds(), 0.1).state is S.OPEN, "the hold time starts anew"
    story.ticket = closed
    story.clock.forward(0.1)
    story.refuses(BROKEN)


def test_what_returns_too_often_is_left_to_people(story):
    for _ in range(story.policy.max_recurrences):
        story.tell(Holds())
        story.tell(Holds(), 2)
        assert story.tell(BROKEN, 1).state is S.OPEN
    story.tell(Holds())
    story.tell(Holds(), 2)
    assert story.tell(BROKEN, 1).state is S.ESCALATED


def test_an_old_look_does_not_undo_a_newer_one(story):
    old = story.clock.now()
    newer = story.tell(BROKEN, 1)
    assert advance(newer, Holds(), old, story.policy) is newer
    assert advance(newer, BROKEN, old, story.policy) is newer


@pytest.mark.parametrize("state", [S.RESOLVED, S.SELF_HEALED])
def test_a_closed_ticket_ignores_the_monitor_and_refuses_everybody(story, state):
    story.ticket = replace(story.ticket, state=state, closed=story.clock.now())
    for signal in (Holds(), Unknown(), Elapsed()):
        assert story.tell(signal, 1).state is state
    for signal in (Leased("s"), HeldByPerson("a"), Unheld(), ClaimedByPerson("a")):
        story.refuses(signal)
    for signal in (Renewed("s"), Claimed("s"), Released("s"), Escalated("s")):
        story.refuses(signal, LeaseLost)
