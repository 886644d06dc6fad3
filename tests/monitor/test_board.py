"""The board on a real audit file: events, incidents, leases, people. Several processes: test_board_processes.py."""

import asyncio
import os

import psutil
import pytest
from lamps import RUN

from operatorlab.audit import AuditStore
from operatorlab.errors import BadParameter, TimedOut, UnknownName
from operatorlab.monitor.board import Board
from operatorlab.monitor.judging import Patience
from operatorlab.monitor.tickets import LeaseLost, Policy, Refused, TicketState
from operatorlab.subject import Severity, Undecided, Violation

S = TicketState


def down(node="node-2", **more):
    return Violation("node_down", node, f"{node} does not answer", **more)


def kinds(store, prefix="ticket."):
    return [event.kind for event in store.events(run=RUN) if event.kind.startswith(prefix)]


@pytest.fixture
def judge(board, clock):
    def one_cycle(*violations, after_s=1.0, undecided=(), **more):
        return board.judge(violations, undecided, clock.forward(after_s), **more)

    return one_cycle


def test_a_ticket_comes_back_from_the_file_as_it_was_written(board, judge):
    (opened,) = judge(down(severity=Severity.WARNING, evidence={"latency": [1.5, None], "who": "ünï"}))
    board.lease(opened.incident, "s1")
    (ticket,) = board.tickets()
    assert ticket.evidence == {"latency": [1.5, None], "who": "ünï"}
    assert (ticket.severity, ticket.state, ticket.lease.session) == (Severity.WARNING, S.INVESTIGATING, "s1")
    assert (ticket.violated, ticket.opened) == (opened.violated, opened.opened)


def test_a_ticket_shows_itself(judge):
    (ticket,) = judge(Violation("node_down", "node-2", "<script>alert(1)</script>" * 9))
    assert repr(ticket).startswith(f"<Ticket {ticket.id[-6:]} node_down/node-2 open: ")
    assert len(repr(ticket)) <= 100
    assert "node-2" in ticket._repr_html_()
    assert "<script>alert" not in ticket._repr_html_()


def test_a_whole_life_is_told_in_events_in_order(board, store, judge):
    (ticket,) = judge(down())
    board.lease(ticket.incident, "s1")
    board.renew(ticket.incident, "s1")
    board.claim(ticket.incident, "s1", "restarted")
    judge()
    (resolved,) = judge(after_s=2)
    assert resolved.state is S.RESOLVED
    assert kinds(store) == ["ticket.opened", "ticket.leased", "ticket.claimed", "ticket.holding", "ticket.resolved"]
    last = store.events(ticket=ticket.id)[-1]
    assert (last.payload["from"], last.payload["to"], last.payload["held_s"]) == ("verifying", "resolved", 2.0)
    assert {event.session for event in store.events(kinds=("ticket.leased", "ticket.claimed"))} == {"s1"}
    assert kinds(store, "incident.") == ["incident.opened", "incident.closed"]


def test_bookkeeping_is_written_but_not_told(board, store, judge, clock):
    judge(down())
    before = store.head()
    assert judge(down(evidence={"n": 2})) == []
    assert store.head() == before
    assert board.tickets()[0].evidence == {"n": 2}
    assert board.tickets()[0].last_broken == clock.now()


def test_a_quiet_cycle_takes_no_lock(board, judge, store):
    judge()
    with AuditStore(store.path) as other, other.atomic():
        assert judge() == []


def test_what_a_subject_writes_is_redacted(board, judge):
    judge(
        Violation(
            "redis_disconnected",
            "node-1",
            "auth failed: password=hunter2-really",
            evidence={"password": "hunter2-really"},
        )
    )
    (ticket,) = board.tickets()
    assert "hunter2" not in ticket.message + str(ticket.evidence)


def test_grace_is_remembered_between_cycles(board, judge):
    rules = {"node_down": Patience(grace_s=2)}
    assert judge(down(), rules=rules) == []
    assert [trouble.violation.component for trouble in board.pending] == ["node-2"]
    assert judge(rules=rules) == []
    assert board.pending == ()
    assert judge(down(), rules=rules) == []
    (ticket,) = judge(down(), rules=rules, after_s=2)
    assert ticket.opened.since(ticket.violated) == 2


def test_a_monitor_that_begins_again_does_not_trust_what_it_did_not_see(board, store, clock, policy, judge):
    judge(down())
    judge()
    again = Board(store, RUN, policy, clock)
    assert again.judge([], [], clock.forward(10))[0].state is S.OPEN
    assert again.judge([], [], clock.forward(2))[0].state is S.SELF_HEALED


def test_a_second_monitor_does_not_set_the_hold_time_back(board, store, clock, policy, judge):
    other = psutil.Process(os.getppid())
    alive = {"monitor": "first", "pid": other.pid, "process_started": other.create_time(), "interval_s": 1}
    store.append("monitor.started", alive, run=RUN)
    judge(down())
    judge()
    second = Board(store, RUN, policy, clock)
    assert second.judge([], [], clock.forward(2))[0].state is S.SELF_HEALED


def test_a_monitor_that_begins_again_opens_nothing_twice(board, store, clock, policy, judge):
    judge(down())
    again = Board(store, RUN, policy, clock)
    assert again.judge([down()], [], clock.forward(1)) == []
    assert len(again.tickets()) == 1


def test_tickets_that_open_together_form_one_incident(board, judge):
    (first,) = judge(down("node-1"))
    (second,) = judge(down("node-1"), down("node-2"), after_s=30)
    (third,) = judge(down("node-1"), down("node-2"), down("node-3"), after_s=31)
    assert first.incident == second.incident != third.incident
    assert len(board.incident_tickets(first.incident)) == 2


def test_a_closed_incident_takes_no_new_ticket(board, judge):
    (first,) = judge(down("node-1"))
    judge()
    judge(after_s=2)
    (second,) = judge(down("node-2"))
    assert first.incident != second.incident


def test_an_incident_closes_with_its_last_ticket_and_reopens_with_any(board, store, judge):
    judge(down("node-1"), down("node-2"))
    judge(down("node-1"))
    judge(down("node-1"), after_s=2)
    assert kinds(store, "incident.") == ["incident.opened"]
    judge()
    judge(after_s=2)
    (again,) = judge(down("node-1"))
    assert kinds(store, "incident.") == ["incident.opened", "incident.closed", "incident.reopened"]
    assert again.recurrences == 1
    assert kinds(store)[-1] == "ticket.reopened"


def test_a_ticket_that_returns_to_an_open_incident_does_not_reopen_it(board, store, judge):
    judge(down("node-1"), down("node-2"))
    judge(down("node-1"))
    judge(down("node-1"), after_s=2)
    (again,) = judge(down("node-1"), down("node-2"))
    assert (again.component, again.recurrences) == ("node-2", 1)
    assert kinds(store, "incident.") == ["incident.opened"]


def test_the_monitor_ends_leases_that_ran_out(board, judge, store):
    (ticket,) = judge(down())
    board.lease(ticket.incident, "dead")
    judge(down(), after_s=15)
    assert kinds(store)[-1] == "ticket.lease_expired"
    assert board.ticket(ticket.id).state is S.OPEN


def test_an_incident_is_handed_out_once_at_a_time_and_oldest_first(board, judge, clock):
    (a,) = judge(down("node-1"))
    (b,) = judge(down("node-1"), down("node-2"), after_s=31)
    assert board.next_incident() == a.incident
    board.lease(a.incident, "s1")
    assert board.next_incident() == b.incident
    board.lease(b.incident, "s2")
    assert board.next_incident() is None
    with pytest.raises(Refused, match="session s1 works"):
        board.lease(a.incident, "s2")


def test_a_ticket_that_joins_later_belongs_to_the_session_at_work(board, judge):
    (a,) = judge(down("node-1"))
    board.lease(a.incident, "s1")
    judge(down("node-1"), down("node-2"))
    assert board.next_incident() is None
    assert len(board.renew(a.incident, "s1")) == 2
    assert {t.state for t in board.claim(a.incident, "s1")} == {S.VERIFYING}


def test_leasing_again_keeps_what_is_held(board, judge):
    (a,) = judge(down("node-1"))
    board.lease(a.incident, "s1")
    judge(down("node-1"), down("node-2"))
    assert len(board.lease(a.incident, "s1")) == 2


def test_a_released_incident_pauses_and_is_escalated_in_the_end(board, judge, clock, store):
    (ticket,) = judge(down())
    for pause in (5, 10):
        board.lease(ticket.incident, "s1")
        board.release(ticket.incident, "s1", "no idea")
        assert board.next_incident() is None
        with pytest.raises(Refused, match="pausing after a failed attempt"):
            board.lease(ticket.incident, "s1")
        clock.forward(pause)
        assert board.next_incident() == ticket.incident
    board.lease(ticket.incident, "s1")
    (last,) = board.release(ticket.incident, "s1", "no idea")
    clock.forward(1000)
    assert last.state is S.ESCALATED
    assert board.next_incident() is None
    assert kinds(store)[-3:] == ["ticket.released", "ticket.leased", "ticket.escalated"]


def test_a_lease_that_ran_out_is_told_and_free_again_without_any_monitor(board, judge, clock, store):
    (ticket,) = judge(down())
    board.lease(ticket.incident, "dead")
    clock.forward(15)
    assert board.next_incident() is None
    assert kinds(store)[-1] == "ticket.lease_expired"
    clock.forward(5)
    assert board.next_incident() == ticket.incident
    assert board.lease(ticket.incident, "s2")[0].attempts == 1


def test_who_lost_the_lease_is_told_so_and_the_loss_is_recorded(board, judge, clock, store):
    (ticket,) = judge(down())
    board.lease(ticket.incident, "slow")
    clock.forward(16)
    for deed in (board.renew, board.claim, board.release, board.escalate):
        with pytest.raises(LeaseLost):
            deed(ticket.incident, "slow")
    assert kinds(store)[-1] == "ticket.lease_expired"


def test_a_claim_that_proves_wrong_is_refuted(board, judge, store):
    (ticket,) = judge(down())
    board.lease(ticket.incident, "s1")
    board.claim(ticket.incident, "s1", "it works now")
    (refuted,) = judge(down(), after_s=4)
    assert (refuted.state, refuted.attempts) == (S.OPEN, 1)
    assert kinds(store)[-1] == "ticket.refuted"


def test_an_undecided_cycle_resolves_nothing(board, judge):
    (ticket,) = judge(down())
    board.lease(ticket.incident, "s1")
    board.claim(ticket.incident, "s1")
    for _ in range(10):
        judge(undecided=[Undecided("node_down", "node-2", "no answer")])
    assert board.ticket(ticket.id).state is S.VERIFYING


def test_people_hold_let_go_and_claim(board, judge, store):
    (ticket,) = judge(down())
    assert board.hold(ticket.id, "ada", "replacing the disk").held_by == "ada"
    assert board.next_incident() is None
    with pytest.raises(Refused, match="held by ada"):
        board.lease(ticket.incident, "s1")
    board.unhold(ticket.id)
    assert board.next_incident() == ticket.incident
    board.resolve_by_hand(ticket.id, "ada", "replaced it")
    assert board.ticket(ticket.id).state is S.VERIFYING
    assert kinds(store)[-3:] == ["ticket.held", "ticket.unheld", "ticket.claimed"]
    assert store.events(kinds=["ticket.claimed"])[0].payload["who"] == "ada"


def test_a_person_takes_a_ticket_from_a_session(board, judge, store):
    (ticket,) = judge(down())
    board.lease(ticket.incident, "s1")
    board.hold(ticket.id, "ada")
    assert kinds(store)[-1] == "ticket.held"
    with pytest.raises(LeaseLost):
        board.renew(ticket.incident, "s1")


def test_a_ticket_is_found_by_either_end_of_its_id(board, judge):
    tickets = judge(down("node-1"), down("node-2"))
    for ticket in tickets:
        assert board.ticket(ticket.id) == board.ticket(ticket.id[-8:].lower()) == board.ticket(ticket.id)
    with pytest.raises(Refused, match="fits 2 tickets"):
        board.ticket(tickets[0].id[:4])
    with pytest.raises(UnknownName, match="no ticket"):
        board.ticket("ZZZZZZ")
    for bad in ("%", "12", "' or 1=1 --"):
        with pytest.raises(BadParameter):
            board.ticket(bad)


def test_tickets_can_be_listed_by_state(board, judge):
    judge(down("node-1"), down("node-2"))
    judge(down("node-1"))
    judge(down("node-1"), after_s=2)
    assert [t.component for t in board.tickets(S.OPEN)] == ["node-1"]
    assert len(board.tickets()) == len(board.tickets(S.OPEN, S.SELF_HEALED)) == 2
    assert board.counts() == {S.OPEN: 1, S.SELF_HEALED: 1}


def test_runs_do_not_see_each_others_tickets(board, store, clock, policy, judge):
    (ticket,) = judge(down())
    store.begin_run("other", "lamps", "files", "/nowhere")
    other = Board(store, "other", policy, clock)
    assert other.tickets() == []
    assert other.next_incident() is None
    with pytest.raises(UnknownName):
        other.incident_tickets(ticket.incident)
    assert len(other.judge([down()], [], clock.forward(1))) == 1


def test_a_run_the_audit_does_not_know_is_an_error(store):
    with pytest.raises(UnknownName, match="no run is called 'nope'"):
        Board(store, "nope")


def test_nothing_is_half_done_when_a_change_fails(board, store, judge, clock):
    (ticket,) = judge(down())
    store.db.execute("create temp trigger no_more before insert on main.events begin select raise(abort, 'full'); end")
    for deed in (
        lambda: board.lease(ticket.incident, "s1"),
        lambda: board.hold(ticket.id, "ada"),
        lambda: judge(down("node-3")),
    ):
        with pytest.raises(Exception, match="full"):
            deed()
    store.db.execute("drop trigger no_more")
    assert board.tickets() == [board.ticket(ticket.id)]
    assert board.ticket(ticket.id).state is S.OPEN


def test_without_hold_and_grace_two_looks_make_a_whole_life(store, clock):
    board = Board(store, RUN, Policy(hold_s=0), clock)
    (ticket,) = board.judge([down()], [], clock.forward(0.1))
    board.lease(ticket.incident, "s1")
    board.claim(ticket.incident, "s1")
    (resolved,) = board.judge([], [], clock.forward(0.1))
    assert resolved.state is S.RESOLVED


async def test_waiting_for_a_verdict_and_for_the_end(board, judge):
    (ticket,) = judge(down())
    board.lease(ticket.incident, "s1")
    board.claim(ticket.incident, "s1")
    verdict = asyncio.create_task(board.settled(ticket.incident))
    end = asyncio.create_task(board.closed(ticket.incident))
    await asyncio.sleep(0)
    assert not verdict.done()
    judge()
    judge(after_s=2)
    assert [t.state for t in await verdict] == [S.RESOLVED]
    assert [t.state for t in await end] == [S.RESOLVED]


async def test_waiting_ends_in_time(board, judge):
    (ticket,) = judge(down())
    with pytest.raises(TimedOut, match="node_down/node-2 is open"):
        await board.closed(ticket.incident, timeout_s=0)
    assert [t.id for t in await board.settled(ticket.incident, timeout_s=0)] == [ticket.id]
