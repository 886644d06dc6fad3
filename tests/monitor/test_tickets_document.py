"""docs/tickets.md tells the truth: its picture, its settings and its events are those of the code."""

import re
from dataclasses import fields
from pathlib import Path

from operatorlab.monitor.lifecycle import TRANSITIONS
from operatorlab.monitor.telling import KINDS
from operatorlab.monitor.tickets import Policy, TicketState

TEXT = (Path(__file__).parents[2] / "docs" / "tickets.md").read_text()


def test_the_picture_shows_every_transition_and_no_other():
    diagram = re.search(r"```mermaid\n(.*?)```", TEXT, re.DOTALL).group(1)
    drawn = re.findall(r"^ +(\w+) --> (\w+):", diagram, re.MULTILINE)
    coded = {(state.value, into.value) for (state, _), ends in TRANSITIONS.items() for into in ends if into != state}
    assert sorted(drawn) == sorted(coded)
    assert "[*] --> open" in diagram


def test_every_setting_is_listed_with_its_default():
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", TEXT, re.MULTILINE))
    assert {name: float(value) for name, value in rows.items()} == {
        field.name: float(field.default) for field in fields(Policy)
    }


def test_every_event_is_named():
    section = TEXT.split("## What is recorded")[1].split("## ")[0]
    of_tickets, of_incidents = section.split("`incident.")
    assert set(re.findall(r"`(?:ticket)?\.(\w+)`", of_tickets)) == KINDS
    assert {"closed", "reopened"} <= set(re.findall(r"`\.(\w+)`", of_incidents))


def test_every_state_is_in_the_picture():
    assert all(state.value in TEXT for state in TicketState)
