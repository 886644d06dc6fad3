"""What a trial's audit tells of it, as the evidence keeps it. Reads only, and also what a killed trial left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from eval.evidence import (
    CallSeen,
    CommandSeen,
    Equipped,
    FaultSeen,
    Moment,
    OrderSeen,
    Refusal,
    Sample,
    SessionSeen,
    TicketSeen,
    Times,
)
from eval.hostile import Order
from operatorlab.agent.equipment import EQUIPPED
from operatorlab.agent.report import Report
from operatorlab.audit import AuditStore

Row = Mapping[str, Any]


def tickets_in(store: AuditStore) -> tuple[TicketSeen, ...]:
    """The tickets, in the order in which they opened."""
    return tuple(
        TicketSeen(
            id=row["id"], incident=row["incident"], invariant=row["invariant"], component=row["component"],
            state=row["state"], opened=_required(row, "opened"), closed=_moment(row, "closed"),
        )
        for row in store.rows("select * from tickets order by opened_mono, id")
    )  # fmt: skip


def sessions_in(store: AuditStore) -> tuple[SessionSeen, ...]:
    """The sessions, with the commands and calls of each, oldest first."""
    rows = store.rows("select * from sessions order by started_mono, id")
    return tuple(_session(store, row) for row in rows)


def samples_in(store: AuditStore) -> tuple[Sample, ...]:
    """What the clients saw, span by span."""
    columns = ", ".join(Sample.model_fields)
    rows = store.rows(f"select {columns} from client_samples order by mono")  # noqa: S608  names of our own fields
    return tuple(Sample.model_validate(row) for row in rows)


def orders_in(store: AuditStore, orders: Iterable[Order]) -> tuple[OrderSeen, ...]:
    """The orders that were planted, and how often a command's output showed each."""
    sql = "select count(*) as n from commands where instr(stdout, :canary) or instr(stderr, :canary)"
    return tuple(
        OrderSeen(noise=one.noise, text=one.text, canary=one.canary,
                  shown=int(store.rows(sql, {"canary": one.canary})[0]["n"]))
        for one in orders
    )  # fmt: skip


def chain_of(store: AuditStore) -> str | None:
    """The head of the chain, None if the audit does not verify."""
    return str(store.head()) if store.verify().ok else None


def reported_in(store: AuditStore) -> Moment | None:
    """When an operator first handed an incident back, with whatever claim."""
    kinds = "('ticket.claimed', 'ticket.escalated', 'ticket.released')"
    sql = f"select at as done_at, mono as done_mono from events where kind in {kinds} and session is not null"  # noqa: S608
    return _first(store, f"{sql} order by seq limit 1")


def worked_until(store: AuditStore) -> Moment | None:
    """When the last command of any operator ended."""
    sql = "select at as done_at, mono as done_mono from events where kind = 'command.ended'"
    return _first(store, f"{sql} order by seq desc limit 1")


def _first(store: AuditStore, sql: str) -> Moment | None:
    rows = store.rows(sql)
    return _moment(rows[0], "done") if rows else None


def times(
    marks: Mapping[str, Moment],
    faults: Sequence[FaultSeen],
    tickets: Sequence[TicketSeen],
    sessions: Sequence[SessionSeen],
    samples: Sequence[Sample],
    reported: Moment | None,
) -> Times:
    """The moments of a trial. `verified` is when the monitor had closed every ticket, after the report."""
    injected = min((fault.injected for fault in faults), key=_mono, default=None)
    closed = [ticket.closed for ticket in tickets]
    return Times(
        started=marks["started"], reset=marks.get("reset"), healthy=marks.get("healthy"), injected=injected,
        symptom=_symptom(injected, samples),
        ticket=min((ticket.opened for ticket in tickets), key=_mono, default=None),
        command=min((one.started for session in sessions for one in session.commands), key=_mono, default=None),
        report=reported,
        verified=max((one for one in closed if one), key=_mono) if closed and all(closed) else None,
        held=marks.get("held"), checked=marks.get("checked"), ended=marks["ended"],
    )  # fmt: skip


def _symptom(injected: Moment | None, samples: Sequence[Sample]) -> Moment | None:
    """The first span after the injection in which a client got no answer."""
    if injected is None:
        return None
    found = next((one.mono for one in samples if one.errors and one.mono + one.span_s > injected.mono), None)
    if found is None:
        return None
    after_s = max(0.0, found - injected.mono)
    return Moment(at=injected.at + timedelta(seconds=after_s), mono=round(injected.mono + after_s, 6))


def _mono(moment: Moment) -> float:
    return moment.mono


def _session(store: AuditStore, row: Row) -> SessionSeen:
    mine = {"id": row["id"]}
    commands = store.rows("select * from commands where session = :id order by started_mono, id", mine)
    calls = store.rows("select * from model_calls where session = :id order by started_mono, id", mine)
    return SessionSeen(
        id=row["id"], brain=row["brain"], model=row["model"], outcome=row["outcome"], error=row["error"],
        report=Report.model_validate(json.loads(row["report"])) if row["report"] else None,
        started=_required(row, "started"), ended=_moment(row, "ended"), turns=row["turns"],
        commands=tuple(map(_command, commands)), calls=tuple(map(_call, calls)),
        equipped=_equipped(store, row["id"]), refused=_refused(store, row["id"]),
    )  # fmt: skip


def _equipped(store: AuditStore, session: str) -> Equipped | None:
    for event in store.events(session=session, kinds=[EQUIPPED]):
        said = event.payload
        return Equipped.model_validate({
            "system": said["system_sha256"], "instructions": said["instructions_sha256"], "limits": said["limits"],
            **{name: said[name] for name in ("briefing", "hints", "parameters", "gate", "mode")},
        })  # fmt: skip
    return None


def _refused(store: AuditStore, session: str) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(
            command=str(event.payload["command"]), doing=str(event.payload["doing"]),
            at=Moment(at=event.at, mono=round(event.mono, 6)),
        )
        for event in store.events(session=session, kinds=["gate.refused"])
    )  # fmt: skip


def _command(row: Row) -> CommandSeen:
    return CommandSeen(
        id=row["id"], command=row["command"], started=_required(row, "started"), duration_s=row["duration_s"],
        exit_code=row["exit_code"], timed_out=bool(row["timed_out"]),
    )  # fmt: skip


def _call(row: Row) -> CallSeen:
    return CallSeen.model_validate({name: row[name] for name in CallSeen.model_fields})


def _required(row: Row, what: str) -> Moment:
    moment = _moment(row, what)
    assert moment is not None
    return moment


def _moment(row: Row, what: str) -> Moment | None:
    at, mono = row[f"{what}_at"], row[f"{what}_mono"]
    return None if at is None else Moment(at=datetime.fromisoformat(at), mono=round(mono, 6))
