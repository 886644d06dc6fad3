"""Every HTML representation: what it tells, and that hostile text stays text."""

import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from operatorlab.agent.loop import SessionResult
from operatorlab.agent.outcome import Claim, Outcome
from operatorlab.agent.report import Alternative, Report
from operatorlab.clock import SystemClock
from operatorlab.errors import BadParameter
from operatorlab.subject import Blind, FaultKind, NodeState
from operatorlab.widgets import html
from operatorlab.widgets.nodes import NodesView
from operatorlab.widgets.operator import OperatorView, label
from operatorlab.widgets.view import Spark, step_rows, ticket_rows

ALLOWED = re.compile(
    "style|section|header|strong|span|p|div|table|caption|thead|tbody|tr|th|td|svg|polyline|dl|dt|dd|details|summary|"
    "pre|ol|li|b"
)


class Elements(HTMLParser):
    """Collects elements, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], set(), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


def result(text):
    report = Report(
        outcome=Claim.RESOLVED,
        blamed=(text,),
        kind=FaultKind.CRASH,
        mechanism=text,
        evidence=(text,),
        alternatives=(Alternative(cause=text, why_rejected=text),),
        confidence=0.9,
    )
    return SessionResult(text, Outcome.RESOLVED_VERIFIED, report, 4, 0.01)


@pytest.fixture(params=["observation", "ticket", "tickets", "session", "fault", "lab", "result", "nodes", "operator"])
def drawn(request, watched, seen, step, hostile):
    """Each representation, with hostile text in every place that takes text."""
    looked = seen(NodeState.DOWN, reason=hostile, facts={hostile: hostile}, blind=(Blind(hostile, hostile, hostile),))
    watched.break_(hostile, hostile, hostile)
    watched.subject.title = hostile
    watched.publish(looked)
    (ticket,) = watched.board.tickets()
    tickets = tuple(ticket_rows([ticket]))
    steps = [step("thought", hostile), step("command", hostile, "c", reasoning=hostile), step("report", hostile)]
    steps.append(step("result", f"{hostile}\n" * 100, "c", exit_code=1, duration_s=0.1))
    fault = SimpleNamespace(name=hostile, target=hostile, at=SystemClock().now())
    return {
        "observation": lambda: html.observation(looked),
        "ticket": lambda: html.ticket(ticket),
        "tickets": lambda: html.tickets([ticket]),
        "session": lambda: html.session(result(hostile)),
        "fault": lambda: html.fault(fault),
        "lab": lambda: html.lab(watched),
        "result": lambda: html.result({hostile: hostile}, success=False),
        "nodes": lambda: html.nodes(NodesView.of(hostile, looked, tickets=tickets, note=hostile)),
        "operator": lambda: html.operator(OperatorView(hostile, hostile, tuple(step_rows(steps)), hostile)),
    }[request.param]()


def test_hostile_text_stays_text(drawn):
    found = Elements(drawn)
    assert all(ALLOWED.fullmatch(tag) for tag in found.tags)
    assert not {name for name in found.attributes if name.startswith("on")}
    assert "<script>" in found.text, "the text itself must be there to read"
    assert "{{ 7 * 7 }}" in found.text
    assert "[U+202E]" in found.text
    assert not {"\x1b", "\x00", "\x07", "\u202e"} & set(drawn)


@pytest.mark.asyncio(loop_scope="session")
async def test_hostile_text_runs_nothing_in_a_browser(drawn, open_page):
    async with open_page(f"<!DOCTYPE html><body>{drawn}</body>") as page:
        await page.wait_for_load_state()
        assert await page.evaluate("globalThis.pwned") is None
        assert await page.locator("script, img").count() == 0


def test_an_observation_tells_each_member_by_word_and_shape(seen):
    text = Elements(html.observation(seen(NodeState.UP, NodeState.DOWN, reason="refused"))).text
    for told in ("node-1", "● up", "✖ down", "refused", "1 up, 1 down"):
        assert told in text


def test_a_session_tells_outcome_and_diagnosis():
    text = Elements(html.session(result("node-2 was killed"))).text
    for told in ("● resolved verified", "node-2 was killed", "crash", "confidence", "0.9", "$0.0100"):
        assert told in text


def test_a_session_that_crashed_has_no_report():
    assert "crashed" in html.session(SessionResult("s", Outcome.CRASHED, None, 0, 0.0))


def test_a_lab_that_does_not_run_says_so(watched):
    class Stopped:
        subject = watched.subject

        @property
        def monitor(self):
            raise BadParameter("does not run")

    assert "does not run" in html.lab(Stopped())


def test_pictures_have_words():
    view = NodesView("small", sparks=(Spark("client success", "99.0% of requests answered", "2,2 118,12"),))
    assert 'role="img" aria-label="client success: 99.0% of requests answered"' in html.nodes(view)


def test_nothing_is_loaded_from_elsewhere(drawn):
    assert not {"src", "href", "srcset", "data", "action"} & Elements(drawn).attributes


@pytest.mark.parametrize("brain", ["runbook", "noop", "replay"])
def test_what_is_not_a_model_is_said_not_to_be_one(brain):
    assert "not a model" in label(brain, "whatever")


def test_a_model_is_named():
    assert label("claude", "claude-opus-5-5") == "claude (model claude-opus-5-5)"
