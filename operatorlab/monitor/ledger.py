"""Reads and writes the tickets and incidents of one run. Knows no rules; `board.py` does.

Every write belongs inside one `store.atomic()` of the caller, together with the event that tells it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from ulid import ULID

from operatorlab.audit import AuditStore
from operatorlab.clock import Instant
from operatorlab.errors import BadParameter, UnknownName
from operatorlab.monitor.rows import instant_columns, row_of, ticket_of
from operatorlab.monitor.tickets import Refused, Ticket, TicketState

T = TypeVar("T")


def new_id() -> str:
    """A ULID: unique, and sorted by time."""
    return str(ULID())


class Ledger:
    """The rows of `tickets` and `incidents` of the run `run`. UnknownName if the audit has no such run."""

    def __init__(self, store: AuditStore, run: str) -> None:
        self.store = store
        self.run = run
        if not store.rows("select 1 from runs where id = :run", {"run": run}):
            known = [str(row["id"]) for row in store.rows("select id from runs order by started_at desc limit 20")]
            raise UnknownName("run", run, known, next_step="operatorlab status")

    # ── tickets ────────────────────────────────────────────────────────────────────────────────

    def tickets(self, where: str = "true", **values: object) -> list[Ticket]:
        """Tickets of the run, oldest first. `where` is SQL of this package, never of a user."""
        sql = f"select * from tickets where run = :run and ({where}) order by opened_mono, rowid"  # noqa: S608  see above
        return [ticket_of(row) for row in self.store.rows(sql, {"run": self.run, **values})]

    def live(self) -> list[Ticket]:
        """Those not closed."""
        return self.tickets("closed_mono is null")

    def live_or_closed_since(self, monotonic: float) -> list[Ticket]:
        """Those not closed, and those closed at or after `monotonic`."""
        return self.tickets("closed_mono is null or closed_mono >= :since", since=monotonic)

    def in_states(self, states: tuple[TicketState, ...]) -> list[Ticket]:
        """Those in one of `states`; all where none is given."""
        if not states:
            return self.tickets()
        return self.tickets("state in (select value from json_each(:states))", states=json.dumps(states))

    def counts(self) -> dict[TicketState, int]:
        """How many tickets there are, by state."""
        sql = "select state, count(*) as n from tickets where run = :run group by state"
        rows: list[dict[str, Any]] = self.store.rows(sql, {"run": self.run})
        return {TicketState(row["state"]): row["n"] for row in rows}

    def ticket(self, short: str) -> Ticket:
        """The ticket whose id is, begins or ends with `short`, in any case."""
        found = self.tickets("id like :head or id like :tail", **_ends(short))
        return _the_one(short, {ticket.id: ticket for ticket in found}, self.store)

    def insert(self, ticket: Ticket) -> None:
        """Add a ticket."""
        self._insert("tickets", row_of(ticket, self.store))

    def update(self, ticket: Ticket) -> None:
        """Write a ticket as it is now."""
        row = row_of(ticket, self.store)
        changes = ", ".join(f"{name} = :{name}" for name in row if name != "id")
        # Names come from rows.py, values are bound.
        self.store.db.execute(f"update tickets set {changes} where id = :id", row)  # noqa: S608  see above

    # ── incidents ──────────────────────────────────────────────────────────────────────────────

    def incident_tickets(self, incident: str) -> list[Ticket]:
        """The tickets of an incident, by its whole id. UnknownName if the run has no such incident."""
        tickets = self.tickets("incident = :incident", incident=incident)
        if not tickets:
            rows = self.store.rows("select id from incidents where run = :run", {"run": self.run})
            raise UnknownName("incident", incident, [str(row["id"]) for row in rows], next_step="operatorlab tickets")
        return tickets

    def latest_incident(self) -> tuple[str, float] | None:
        """The unresolved incident to which a ticket came last, and when (monotonic seconds)."""
        rows: list[dict[str, Any]] = self.store.rows(
            "select i.id, max(t.opened_mono) as mono from incidents i join tickets t on t.incident = i.id "
            "where i.run = :run and i.closed_at is null group by i.id order by mono desc limit 1",
            {"run": self.run},
        )
        return (rows[0]["id"], rows[0]["mono"]) if rows else None

    def open_incident(self, at: Instant) -> str:
        """Begin an incident; its id."""
        incident = new_id()
        self._insert("incidents", {"id": incident, "run": self.run, **instant_columns("opened", at)})
        return incident

    def reopen_incident(self, incident: str) -> bool:
        """Mark an incident as not closed; whether it had been."""
        cursor = self.store.db.execute(
            "update incidents set closed_at = null, closed_mono = null where id = :id and closed_at is not null",
            {"id": incident},
        )
        return cursor.rowcount > 0

    def close_incidents(self, at: Instant) -> list[str]:
        """Close every incident of the run whose tickets are all closed; their ids."""
        rows = self.store.rows(
            "select id from incidents where run = :run and closed_at is null and not exists "
            "(select 1 from tickets where incident = incidents.id and closed_mono is null)",
            {"run": self.run},
        )
        closed = [str(row["id"]) for row in rows]
        for incident in closed:
            self.store.db.execute(
                "update incidents set closed_at = :closed_at, closed_mono = :closed_mono where id = :id",
                {"id": incident, **instant_columns("closed", at)},
            )
        return closed

    def _insert(self, table: str, row: Mapping[str, object]) -> None:
        columns, places = ", ".join(row), ", ".join(f":{name}" for name in row)
        # Names come from this package's own code, values are bound.
        self.store.db.execute(f"insert into {table} ({columns}) values ({places})", dict(row))  # noqa: S608  see above


def run_of_ticket(store: AuditStore, short: str) -> tuple[str, str]:
    """The run and the whole id of the ticket whose id is, begins or ends with `short`, in any run."""
    sql = "select run, id from tickets where id like :head or id like :tail"
    found = {str(row["id"]): (str(row["run"]), str(row["id"])) for row in store.rows(sql, _ends(short))}
    return _the_one(short, found, store)


def find_tickets(
    store: AuditStore, *, run: str | None, ended_runs: bool, closed: bool, states: Sequence[str] = (), limit: int = 0
) -> list[Ticket]:
    """Tickets of any run (or of `run`), newest first; at most `limit` unless that is 0."""
    if run is not None:
        Ledger(store, run)
    rows = store.rows(
        "select t.* from tickets t join runs r on r.id = t.run where (:run is null or r.id = :run) "
        "and (:ended_runs or r.ended_at is null) and (:closed or t.closed_at is null) "
        "and (:states = '[]' or t.state in (select value from json_each(:states))) "
        "order by t.opened_at desc, t.rowid desc limit :limit",
        {
            "run": run,
            "ended_runs": ended_runs,
            "closed": closed,
            "states": json.dumps(list(states)),
            "limit": limit or -1,
        },
    )
    return [ticket_of(row) for row in rows]


def _ends(short: str) -> dict[str, str]:
    if len(short) < 4 or not short.isalnum():
        raise BadParameter(
            f"{short!r} is not a ticket's id",
            cause="ids are letters and digits; four or more of its first or last ones are enough",
            next_step="operatorlab tickets",
        )
    return {"head": f"{short.upper()}%", "tail": f"%{short.upper()}"}


def _the_one(short: str, found: Mapping[str, T], store: AuditStore) -> T:
    if not found:
        rows = store.rows("select id from tickets order by rowid desc limit 20")
        raise UnknownName("ticket", short, [str(row["id"]) for row in rows], next_step="operatorlab tickets")
    if len(found) > 1:
        raise Refused(f"{short!r} fits {len(found)} tickets: {', '.join(found)}", next_step="give more of its id")
    return next(iter(found.values()))
