"""What happened in one run, on one clock, read from the audit file alone.

Seconds count from the first injected fault, or from the first ticket where nothing was injected.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from operatorlab.errors import UserError
from operatorlab.text import short, visible
from operatorlab.widgets.shapes import RowsLike

BEFORE_S, AFTER_S = 3.0, 3.0
"""How much of the clients' experience is told before the first and after the last event."""
BIN_S = 0.5
"""How finely the clients' experience is told: single spans hold few requests."""
_FAULTS = "select name, target, injected_mono, healed_mono from faults where run = ? order by injected_mono"
_TICKETS = """
    select invariant, component, state, opened_mono, holding_since_mono, closed_mono from tickets where run = ?
    order by opened_mono
"""
_COMMANDS = "select command, started_mono, duration_s, exit_code from commands where run = ? order by started_mono"
_SESSIONS = "select brain, outcome, started_mono, ended_mono from sessions where run = ? order by started_mono"
_CLIENTS = """
    select mono, allowed + denied as answers, errors from client_samples where run = ? and mono between ? and ?
    order by mono
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened at once; `kind` is fault, detected, recovered or resolved."""

    second: float
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted; `kind` is fault, ticket, session or command."""

    lane: str
    start: float
    end: float
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Story:
    """One run. `answered` pairs a second with the share (0..1) of requests that clients got answered."""

    run: str
    moments: tuple[Moment, ...]
    spans: tuple[Span, ...]
    answered: tuple[tuple[float, float], ...] = field(repr=False)

    @property
    def words(self) -> str:
        """The story for those who do not see the chart."""
        told = "; ".join(f"{m.label} at {m.second:.1f} s" for m in self.moments)
        commands = sum(span.kind == "command" for span in self.spans)
        share = f" Clients got at least {min(s for _, s in self.answered):.0%} answered." if self.answered else ""
        return f"Timeline of {self.run}: {told}. The operator ran {commands} commands.{share}"


def story(db: RowsLike, run: str) -> Story:
    """Read the story of `run`; UserError if neither a fault nor a ticket is on record for it."""
    faults, tickets = _rows(db, _FAULTS, run), _rows(db, _TICKETS, run)
    starts = [row["injected_mono"] for row in faults] or [row["opened_mono"] for row in tickets]
    if not starts:
        raise UserError(f"the audit knows no fault and no ticket of run {run!r}", next_step="operatorlab audit list")
    zero = starts[0]
    sessions, commands = _rows(db, _SESSIONS, run), _rows(db, _COMMANDS, run)
    moments = sorted([*_fault_moments(faults, zero), *_ticket_moments(tickets, zero)], key=lambda m: m.second)
    ends = [m.second for m in moments] + [row["ended_mono"] - zero for row in sessions if row["ended_mono"]]
    ends += [row["started_mono"] - zero + (row["duration_s"] or 0) for row in commands]
    last = max(ends)
    spans = (
        *_fault_spans(faults, zero, _recovered(moments, tickets, last)),
        *_ticket_spans(tickets, zero, last),
        *_session_spans(sessions, zero, last),
        *_command_spans(commands, zero, last),
    )
    samples = db.query(_CLIENTS, [run, zero - BEFORE_S, zero + last + AFTER_S])
    return Story(run, tuple(moments), spans, _answered(samples, zero))


def _rows(db: RowsLike, sql: str, run: str) -> list[dict[str, Any]]:
    return list(db.query(sql, [run]))


def _answered(samples: Iterable[Mapping[str, Any]], zero: float) -> tuple[tuple[float, float], ...]:
    """The share of requests that ended in an answer, over each `BIN_S`. Being denied is an answer."""
    answers: Counter[int] = Counter()
    ended: Counter[int] = Counter()
    for row in samples:
        place = math.floor((row["mono"] - zero) / BIN_S)
        answers[place] += row["answers"]
        ended[place] += row["answers"] + row["errors"]
    return tuple((place * BIN_S, answers[place] / ended[place]) for place in sorted(ended) if ended[place])


def _fault_moments(faults: Iterable[Mapping[str, Any]], zero: float) -> Iterable[Moment]:
    for row in faults:
        yield Moment(row["injected_mono"] - zero, "fault", f"{row['name']} on {row['target']}")


def _ticket_moments(tickets: Iterable[Mapping[str, Any]], zero: float) -> Iterable[Moment]:
    for row in tickets:
        yield Moment(row["opened_mono"] - zero, "detected", f"{_title(row)} opened")
        if row["holding_since_mono"] is not None and row["closed_mono"] is not None:
            yield Moment(row["holding_since_mono"] - zero, "recovered", f"{_title(row)} holds again")
        if row["closed_mono"] is not None:
            yield Moment(row["closed_mono"] - zero, "resolved", f"{_title(row)} {row['state'].replace('_', ' ')}")


def _recovered(moments: Iterable[Moment], tickets: Iterable[Mapping[str, Any]], last: float) -> float:
    """When the trouble was over as far as the monitor could tell: a repair leaves no trace in the fault's record."""
    if not all(row["closed_mono"] is not None for row in tickets):
        return last
    return max((m.second for m in moments if m.kind == "recovered"), default=last)


def _fault_spans(faults: Iterable[Mapping[str, Any]], zero: float, recovered: float) -> Iterable[Span]:
    for row in faults:
        start = row["injected_mono"] - zero
        end = row["healed_mono"] - zero if row["healed_mono"] is not None else max(recovered, start)
        yield Span("fault", start, end, "fault", visible(f"{row['name']} on {row['target']}"))


def _ticket_spans(tickets: Iterable[Mapping[str, Any]], zero: float, last: float) -> Iterable[Span]:
    for row in tickets:
        start, state = row["opened_mono"] - zero, row["state"].replace("_", " ")
        if row["closed_mono"] is None:
            yield Span(_title(row), start, last, "ticket", state)
        else:
            end = row["closed_mono"] - zero
            yield Span(_title(row), start, end, "ticket", f"{state} after {end - start:.1f} s")


def _session_spans(sessions: Iterable[Mapping[str, Any]], zero: float, last: float) -> Iterable[Span]:
    for row in sessions:
        end = row["ended_mono"] - zero if row["ended_mono"] is not None else last
        yield Span("operator", row["started_mono"] - zero, end, "session", f"{row['brain']}: {row['outcome']}")


def _command_spans(commands: Iterable[Mapping[str, Any]], zero: float, last: float) -> Iterable[Span]:
    for row in commands:
        start = row["started_mono"] - zero
        end = start + row["duration_s"] if row["duration_s"] is not None else last
        yield Span("operator", start, end, "command", short(visible(row["command"]), 60))


def _title(row: Mapping[str, Any]) -> str:
    return visible(f"{row['invariant']} {row['component']}")
