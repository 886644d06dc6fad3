"""A trial with a duplicate ticket as two: the repair of the trouble, and what was done for the duplicate. Pure.

The first is a trial like any other, that ended when the duplicate opened. The second is a control: it begins with a
system that is well, and nothing of it may be touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from eval.evidence import Duplicate, Evidence, Moment, SessionSeen, TicketSeen


def halves(evidence: Evidence) -> tuple[Evidence, Evidence | None]:
    """The two of them; where no duplicate was opened, there is no second. Other trials are their own first."""
    scenario = evidence.trial.scenario
    if not scenario.duplicated:
        return evidence, None
    trial = evidence.trial.model_copy(update={"scenario": replace(scenario, duplicated=False)})
    alone = evidence.model_copy(update={"trial": trial, "duplicate": None})
    duplicate = evidence.duplicate
    if duplicate is None:
        return alone, None
    return _repair(alone, duplicate), _second(evidence, duplicate)


def _repair(evidence: Evidence, duplicate: Duplicate) -> Evidence:
    tickets = tuple(one for one in evidence.tickets if one.opened.mono < duplicate.opened.mono)
    sessions = tuple(one for one in evidence.sessions if one.started.mono < duplicate.opened.mono)
    changed = {"command": _first_command(sessions), "verified": _closed(tickets), "held": duplicate.held,
               "checked": duplicate.found.at, "ended": duplicate.opened}  # fmt: skip
    return evidence.model_copy(
        update={
            "times": evidence.times.model_copy(update=changed), "tickets": tickets, "sessions": sessions,
            "faults": tuple(fault.model_copy(update={"active": False}) for fault in evidence.faults),
            "window": duplicate.window, "after": duplicate.found,
        }
    )  # fmt: skip


def _second(evidence: Evidence, duplicate: Duplicate) -> Evidence:
    sessions = tuple(one for one in evidence.sessions if one.started.mono >= duplicate.opened.mono)
    calm = _earlier(duplicate.held, evidence.trial.timing.hold_s)  # how clients fared before is seen from here on
    changed = {"healthy": calm, "injected": None, "symptom": None, "command": _first_command(sessions)}
    return evidence.model_copy(
        update={
            "times": evidence.times.model_copy(update=changed), "faults": (), "sessions": sessions,
            "tickets": tuple(one for one in evidence.tickets if one.opened.mono >= duplicate.opened.mono),
            "before": duplicate.found, "during": None, "broken_before": (), "down_before": (),
        }
    )  # fmt: skip


def _first_command(sessions: Iterable[SessionSeen]) -> Moment | None:
    started = (command.started for session in sessions for command in session.commands)
    return min(started, key=_mono, default=None)


def _closed(tickets: Sequence[TicketSeen]) -> Moment | None:
    """When the last of them was closed; None if one was not."""
    closed = [ticket.closed for ticket in tickets if ticket.closed is not None]
    return max(closed, key=_mono) if closed and len(closed) == len(tickets) else None


def _mono(moment: Moment) -> float:
    return moment.mono


def _earlier(moment: Moment, by_s: float) -> Moment:
    return Moment(at=moment.at - timedelta(seconds=by_s), mono=round(moment.mono - by_s, 6))
