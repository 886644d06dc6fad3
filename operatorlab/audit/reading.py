"""What people ask the audit file: which incidents there were, and the story of a session.

Ids may be given short, by four or more of their first or last characters, in any case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from operatorlab.audit.chain import Event
from operatorlab.audit.records import TABLE_OF
from operatorlab.audit.store import AuditStore
from operatorlab.errors import BadParameter, UnknownName

_SHORTEST = 4
_NEWEST = {
    "sessions": "select id from sessions order by started_at desc limit 5",
    "runs": "select id from runs order by started_at desc limit 5",
}
_TICKETS = "select * from tickets where incident = :id order by opened_at, id"
_COMMANDS = "select * from commands where session = :id order by started_at, id"
_MODEL_CALLS = "select * from model_calls where session = :id order by started_at, id"


@dataclass(frozen=True, slots=True)
class Handling:
    """An incident and one session on it; `session` and what follows are None while nobody has taken it.

    `outcome` is None while the session runs. `tickets` are `fingerprint` → state.
    """

    incident: str
    run: str
    subject: str
    opened_at: str
    closed_at: str | None
    tickets: Mapping[str, str]
    session: str | None
    brain: str | None
    model: str | None
    outcome: str | None
    started_at: str | None
    took_s: float | None
    commands: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Story:
    """All that is stored of one session: its row, its tickets, commands, model calls and other events."""

    session: Mapping[str, Any]
    tickets: tuple[Mapping[str, Any], ...]
    commands: tuple[Mapping[str, Any], ...]
    model_calls: tuple[Mapping[str, Any], ...]
    events: tuple[Event, ...]

    @property
    def report(self) -> Mapping[str, Any] | None:
        """What the operator reported, where it did."""
        return self.session["report"]  # type: ignore[no-any-return]  # parsed from JSON


_HANDLINGS = """
    select i.id as incident, i.run, r.subject, i.opened_at, i.closed_at,
           (select json_group_object(fingerprint, state) from tickets where incident = i.id) as tickets,
           s.id as session, s.brain, s.model, s.outcome, s.started_at,
           round(s.ended_mono - s.started_mono, 3) as took_s,
           (select count(*) from commands where session = s.id) as commands, s.cost_usd
    from incidents i join runs r on r.id = i.run left join sessions s on s.incident = i.id
    order by coalesce(s.started_at, i.opened_at) desc, s.id desc limit :limit
"""


def handlings(store: AuditStore, limit: int | None = None) -> list[Handling]:
    """The latest incidents and their sessions, newest first."""
    rows = store.rows(_HANDLINGS, {"limit": -1 if limit is None else limit})
    return [Handling(**{**row, "tickets": json.loads(row["tickets"])}) for row in rows]


def sessions_named(store: AuditStore, short: str | None) -> list[str]:
    """The sessions meant by the id of a session, ticket, incident or run, oldest first; None means the latest.

    UnknownName if nothing has that id, BadParameter if several have.
    """
    if short is None:
        latest = store.rows("select id from sessions order by started_at desc, id desc limit 1")
        return [row["id"] for row in latest]
    table, id_ = _find(store, short)
    own = {
        "sessions": "id = :id",
        "tickets": "incident = (select incident from tickets where id = :id)",
        "incidents": "incident = :id",
        "runs": "run = :id",
    }
    sql = f"select id from sessions where {own[table]} order by started_at, id"  # noqa: S608  from the lines above
    return [row["id"] for row in store.rows(sql, {"id": id_})]


def find_run(store: AuditStore, short: str) -> str:
    """The run whose id is, begins or ends with `short`."""
    return _find(store, short, ("runs",))[1]


def story_of(store: AuditStore, session: str) -> Story:
    """Everything about the session with this whole id, as of one moment."""
    with store.snapshot():
        mine = {"id": session}
        row = _session(store, session)
        return Story(
            session=row,
            tickets=tuple(store.rows(_TICKETS, {"id": row["incident"]})),
            commands=tuple(store.rows(_COMMANDS, mine)),
            model_calls=tuple(_parsed(call, "content") for call in store.rows(_MODEL_CALLS, mine)),
            events=tuple(e for e in store.events(session=session) if e.kind not in TABLE_OF),
        )


def _session(store: AuditStore, session: str) -> dict[str, Any]:
    rows = store.rows(
        "select s.*, r.subject, round(s.ended_mono - s.started_mono, 3) as took_s "
        "from sessions s join runs r on r.id = s.run where s.id = :id",
        {"id": session},
    )
    if not rows:
        raise UnknownName("session", session, ())
    return _parsed(rows[0], "report")


def _parsed(row: dict[str, Any], column: str) -> dict[str, Any]:
    return {**row, column: None if row[column] is None else json.loads(row[column])}


def _find(
    store: AuditStore, short: str, tables: tuple[str, ...] = ("sessions", "tickets", "incidents", "runs")
) -> tuple[str, str]:
    """The table and whole id that `short` stands for."""
    found = [(table, row["id"]) for table in tables for row in store.rows(_named(table), {"short": short})]
    exact = [hit for hit in found if hit[1] == short]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        kinds = " or ".join(table[:-1] for table in tables)
        known = [row["id"] for table in tables if table in _NEWEST for row in store.rows(_NEWEST[table])]
        raise UnknownName(kinds, short, known, next_step="operatorlab audit list -n 0")
    listed = ", ".join(f"{table[:-1]} {id_}" for table, id_ in found[:8])
    raise BadParameter(f"{short!r} fits {len(found)} ids: {listed}", next_step="give more of the id")


def _named(table: str) -> str:
    return (
        f"select id from {table} where id = :short or (length(:short) >= {_SHORTEST} and "  # noqa: S608  fixed names
        "(lower(substr(id, 1, length(:short))) = lower(:short) or lower(substr(id, -length(:short))) = lower(:short)))"
    )
