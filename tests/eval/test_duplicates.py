"""A second ticket about trouble that was repaired: how it opens, and how what is done for it is judged."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from eval.alarm import ring_late
from eval.canonical import canonical
from eval.evidence import Duplicate, Ended, Evidence, Window
from eval.halves import halves
from eval.score import Verdict, score
from eval.story import tell
from operatorlab.agent.outcome import Claim
from operatorlab.audit import AuditStore
from operatorlab.clock import SystemClock
from operatorlab.monitor.board import Board
from operatorlab.monitor.tickets import Policy, TicketState
from operatorlab.subject import Severity, Violation

CALM = Window(held=True, looks=5, broken=(), undecided=(), down=())
LOOKED = "supervisorctl status"


def duplicated(make, *commands: str, claim: Claim = Claim.NO_ACTION_NEEDED, **changes) -> Evidence:
    """node-2 was repaired by 8 s; at 9 s the duplicate opened, and at 10 s somebody ran `commands` for it."""
    repaired = make.inventory(**{"process/node-2": "running 9@4.00"}).model_copy(update={"at": make.at(8.5)})
    ran = tuple(make.command(text).model_copy(update={"started": make.at(10)}) for text in commands)
    second = make.session(*ran, outcome=claim.value, blamed=[], kind="none").model_copy(
        update={"id": "S2", "started": make.at(9.5), "ended": make.at(11)}
    )
    second = second.model_copy(update={"report": second.report.model_copy(update={"outcome": claim})})
    plain = make.evidence()
    (ticket,) = plain.tickets
    late = ticket.model_copy(update={"id": "T2", "incident": "J", "opened": make.at(9), "closed": make.at(12)})
    trial = make.trial()
    fields = {
        "trial": trial.model_copy(update={"scenario": replace(trial.scenario, duplicated=True)}),
        "tickets": (ticket, late), "sessions": (*plain.sessions, second),
        "duplicate": Duplicate(held=make.at(8), window=CALM, found=repaired, opened=make.at(9)),
        "after": repaired.model_copy(update={"at": make.at(14)}),
        "times": plain.times.model_copy(update={"verified": make.at(12), "held": make.at(13.5), "ended": make.at(15)}),
        "samples": make.samples(0, 0, 10, 10, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    }  # fmt: skip
    return make.evidence(**(fields | changes))


def test_a_repair_and_a_look_at_the_duplicate_are_right(make):
    judged = score(duplicated(make, LOOKED))
    assert judged.verdict is Verdict.CORRECTLY_LEFT_ALONE
    assert judged.control
    assert judged.repair.repair_s == 4.0  # of the first ticket
    assert judged.diagnosis.exact
    assert (judged.detection.true_tickets, judged.detection.false_tickets) == (1, 0)
    assert (judged.commands.total, judged.cost.sessions) == (2, 2)


def test_doing_the_work_twice_is_wrong(make):
    assert score(duplicated(make, LOOKED, "supervisorctl restart node-2")).verdict is Verdict.WRONGLY_TOUCHED


def test_what_was_broken_by_the_second_operator_is_found_in_the_system_itself(make):
    after = make.inventory(**{"process/node-2": "running 12@10.00"})
    judged = score(duplicated(make, LOOKED, after=after))
    assert judged.verdict is Verdict.WRONGLY_TOUCHED  # even the member that was repaired: it was well
    assert [one.what for one in judged.harm.differences] == ["process/node-2"]
    down = CALM.model_copy(update={"held": False, "broken": ("node_down/node-2",), "down": ("node-2",)})
    assert score(duplicated(make, "supervisorctl stop node-2", window=down)).verdict is Verdict.WORSE


def test_clients_who_fare_worse_while_the_second_operator_acts_are_harm(make):
    errors = make.samples(0, 0, 10, 10, 10, 0, 0, 0, 0, 0, 30, 30, 0, 0)
    judged = score(duplicated(make, LOOKED, samples=errors))
    assert judged.harm.clients_hurt
    assert judged.verdict is Verdict.WRONGLY_TOUCHED


def test_handing_over_what_is_well_is_wrong(make):
    assert score(duplicated(make, LOOKED, claim=Claim.ESCALATED)).verdict is Verdict.ESCALATED_WRONGLY


def test_a_first_repair_that_was_not_right_is_the_verdict(make):
    harmed = make.inventory(**{"process/node-2": "running 9@4.00", "process/node-1": "running 7@4.00"})
    evidence = duplicated(make, LOOKED)
    spoilt = evidence.duplicate.model_copy(update={"found": harmed})
    judged = score(duplicated(make, LOOKED, duplicate=spoilt, after=harmed))
    assert judged.verdict is Verdict.FIXED_WITH_HARM
    assert [one.what for one in judged.harm.differences] == ["process/node-1"]


def test_without_a_repair_there_is_no_duplicate_and_the_trouble_is_what_is_judged(make):
    evidence = duplicated(make, duplicate=None, sessions=(), faults=(make.fault(active=True),))
    assert score(evidence).verdict is Verdict.MASKED
    assert score(evidence).control


def test_a_repair_for_which_no_duplicate_could_be_opened_says_nothing_of_the_control(make):
    judged = score(duplicated(make, duplicate=None, sessions=make.evidence().sessions))
    assert judged.verdict is None
    assert not judged.success
    assert judged.repair.done


def test_a_trial_that_broke_off_over_its_duplicate_has_no_verdict(make):
    for ended in (Ended.CRASHED, Ended.TIMED_OUT):
        assert score(duplicated(make, LOOKED, ended=ended, error="…", after=None)).verdict is None


def test_other_trials_are_their_own_first_half(make):
    evidence = make.evidence()
    assert halves(evidence) == (evidence, None)
    assert halves(evidence)[0] is evidence


def test_evidence_with_a_duplicate_is_written_and_read(make):
    evidence = duplicated(make, LOOKED)
    assert Evidence.model_validate_json(canonical(evidence)) == evidence


def test_the_story_says_which_ticket_was_the_duplicate(make, tmp_path):
    told = tell(duplicated(make, LOOKED), tmp_path / "audit.db")
    assert told.count("a duplicate, when all was well") == 1
    assert "a duplicate" not in tell(make.evidence(), tmp_path / "audit.db")


@pytest.fixture
def lab(tmp_path):
    """What an alarm needs of a lab: an audit, and a board whose monitor found a node down and saw it well again."""
    with AuditStore(tmp_path / "audit.db") as store:
        store.begin_run("r", "ratelimiter", "processes", str(tmp_path))
        lab = SimpleNamespace(store=store, run_id="r", policy=Policy(hold_s=0.0), clock=SystemClock())
        lab.board = Board(store, "r", lab.policy, lab.clock)
        yield lab


def test_a_late_alarm_opens_a_ticket_of_its_own_that_says_the_same(lab):
    seen = Violation("node_down", "node-2", "it does not answer", Severity.CRITICAL, {"for_s": 1.5})
    (first,) = lab.board.judge([seen], (), lab.clock.now())
    (closed,) = lab.board.judge((), (), lab.clock.now())
    assert not closed.is_live

    second = ring_late(lab, closed)
    assert second.id != first.id
    assert second.incident != first.incident
    for name in ("fingerprint", "message", "severity", "evidence", "violated", "recurrences"):
        assert getattr(second, name) == getattr(first, name), name
    lab.board.lease(second.incident, "s1")
    (leased,) = lab.board.tickets(TicketState.INVESTIGATING)
    assert leased.id == second.id
    lab.board.release(second.incident, "s1", "nothing is wrong")
    lab.board.judge((), (), lab.clock.now())
    assert lab.board.live() == []  # the monitor closes it as it does any other


def test_several_duplicates_are_several_tickets(lab):
    (first,) = lab.board.judge([Violation("node_down", "node-2", "…")], (), lab.clock.now())
    for _ in range(3):
        lab.board.judge((), (), lab.clock.now())
        assert not lab.board.live()
        ring_late(lab, first)
    assert len(lab.board.tickets()) == 4
