"""The story and its chart, from an audit file alone."""

import os
from datetime import UTC, datetime
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from operatorlab.audit import AuditStore
from operatorlab.audit.records import ClientSample
from operatorlab.clock import Instant
from operatorlab.errors import UserError
from operatorlab.monitor.board import Board
from operatorlab.monitor.tickets import Policy
from operatorlab.notebook.chart import PALETTE, timeline
from operatorlab.notebook.story import story
from operatorlab.subject import Violation

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Hands:
    """A clock that stands where it was put."""

    second = 0.0

    def now(self):
        return Instant(self.second, AT)


@pytest.fixture
def clock():
    return Hands()


@pytest.fixture
def store(tmp_path, clock):
    with AuditStore(tmp_path / "audit.db", clock=clock) as store:
        store.begin_run("small-abcdef", "small", "processes", str(tmp_path), 7, os.getpid())
        yield store


def incident(store, clock, *, resolved=True, message="down"):
    """A fault at 100 s, its ticket at 101 s, a session with one command at 102 s, all well again from 104 s on."""
    board = Board(store, "small-abcdef", Policy(hold_s=2.0), clock)
    clock.second = 100.0
    store.begin_fault("small-abcdef", "node_crash", "node-2", {})
    clock.second = 101.0
    broken = Violation("node_down", "node-2", message)
    board.judge([broken], [], clock.now())
    clock.second = 102.0
    session = store.begin_session("small-abcdef", board.next_incident(), "runbook", "runbook", os.getpid())
    command = store.begin_command(session, "restart <node-2>", "it is down")
    store.end_command(command, 0, 0.5, "ok", "")
    if resolved:
        incident_id = board.next_incident()
        board.lease(incident_id, session)
        board.claim(incident_id, session, "repaired")
        for second in (104.0, 105.0, 106.5):
            clock.second = second
            board.judge([], [], clock.now())
        store.end_session(session, "resolved_verified")


def clients(store, *counts, start=99.0):
    store.add_client_samples(
        "small-abcdef",
        [ClientSample(AT, start + i, 1.0, 10, ok, 0, errors, 0.01, 0.05) for i, (ok, errors) in enumerate(counts)],
    )


def test_the_story_counts_from_the_fault(store, clock):
    incident(store, clock)
    clients(store, (10, 0), (5, 5), (0, 0), (10, 0))
    told = story(store.db, "small-abcdef")
    assert [(m.kind, m.second) for m in told.moments] == [
        ("fault", 0.0),
        ("detected", 1.0),
        ("recovered", 4.0),
        ("resolved", 6.5),
    ]
    assert [(s.kind, s.start, s.end) for s in told.spans] == [
        ("fault", 0.0, 4.0),
        ("ticket", 1.0, 6.5),
        ("session", 2.0, 6.5),
        ("command", 2.0, 2.5),
    ]
    assert told.answered == ((-1.0, 1.0), (0.0, 0.5), (2.0, 1.0)), "a span without requests tells nothing"
    assert "node_down node-2 opened at 1.0 s" in told.words
    assert "at least 50% answered" in told.words


def test_requests_that_time_out_later_than_they_were_sent_never_make_less_than_nothing(store, clock):
    incident(store, clock)
    clients(store, (0, 30))
    assert story(store.db, "small-abcdef").answered == ((-1.0, 0.0),)


def test_what_has_not_ended_lasts_to_the_end(store, clock):
    incident(store, clock, resolved=False)
    told = story(store.db, "small-abcdef")
    assert {span.kind: span.end for span in told.spans} == {"fault": 2.5, "ticket": 2.5, "session": 2.5, "command": 2.5}


def test_a_healed_fault_ends_when_it_was_healed(store, clock):
    incident(store, clock)
    clock.second = 103.0
    store.end_fault(next(iter(store.db.query("select id from faults")))["id"])
    assert next(s.end for s in story(store.db, "small-abcdef").spans if s.kind == "fault") == 3.0


def test_without_a_fault_it_counts_from_the_first_ticket(store, clock):
    clock.second = 50.0
    Board(store, "small-abcdef", clock=clock).judge([Violation("node_down", "node-1", "x")], [], clock.now())
    assert [(m.kind, m.second) for m in story(store.db, "small-abcdef").moments] == [("detected", 0.0)]


def test_a_run_in_which_nothing_happened_is_an_error(store):
    with pytest.raises(UserError, match="no fault and no ticket"):
        story(store.db, "small-abcdef")


def test_the_chart_is_an_svg_with_words(store, clock):
    incident(store, clock)
    clients(store, (10, 0), (5, 5))
    figure = timeline(store, "small-abcdef")
    data, metadata = figure._repr_mimebundle_()
    drawing = ET.fromstring(data["image/svg+xml"])
    assert drawing.get("role") == "img"
    assert drawing[0].text == figure.words == metadata["image/svg+xml"]["alt"]
    text = "".join(drawing.itertext())
    for told in ("node_crash on node-2", "resolved after 5.5 s", "runbook: resolved_verified", "recovered"):
        assert told in text
    assert "http" not in data["image/svg+xml"].replace("http://www.w3.org/", "")


def test_a_chart_can_be_drawn_without_clients_and_without_an_operator(store, clock):
    clock.second = 50.0
    Board(store, "small-abcdef", clock=clock).judge([Violation("node_down", "node-1", "x")], [], clock.now())
    assert "<svg" in timeline(store, "small-abcdef").svg


def test_hostile_names_stay_text(store, clock):
    clock.second = 50.0
    hostile = "</desc><script>1</script>"
    Board(store, "small-abcdef", clock=clock).judge([Violation(hostile, "n", "x")], [], clock.now())
    drawing = ET.fromstring(timeline(store, "small-abcdef").svg)
    assert not [element for element in drawing.iter() if element.tag.endswith("script")]
    assert "<script>" in drawing[0].text


@pytest.mark.parametrize("kinds", [("fault", "detected", "recovered", "resolved")])
def test_kinds_have_colours_of_their_own(kinds):
    assert len({PALETTE[kind] for kind in kinds}) == len(kinds)


def test_any_store_will_do(store, clock):
    incident(store, clock)
    assert timeline(SimpleNamespace(db=store.db, path=store.path), "small-abcdef").words
