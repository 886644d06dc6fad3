"""Tickets as rows of the audit file, and back.

Every instant is two columns, `<name>_at` (ISO 8601, UTC) and `<name>_mono` (seconds of the monotonic
clock of that boot). Texts that came from a subject are redacted before they are written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from operatorlab.audit import AuditStore
from operatorlab.audit.journal import timestamp
from operatorlab.clock import Instant
from operatorlab.monitor.tickets import Lease, Ticket, TicketState
from operatorlab.subject import Severity

_INSTANTS = ("violated", "opened", "last_broken", "holding_since", "claimed", "closed")
_PLAIN = ("id", "run", "incident", "invariant", "component", "recurrences", "attempts", "held_by")


def row_of(ticket: Ticket, store: AuditStore) -> dict[str, object]:
    """The row that keeps `ticket`."""
    row: dict[str, object] = {name: getattr(ticket, name) for name in _PLAIN}
    for name in _INSTANTS:
        row |= instant_columns(name, getattr(ticket, name))
    lease = ticket.lease
    return row | {
        "fingerprint": ticket.fingerprint,
        "severity": ticket.severity.value,
        "state": ticket.state.value,
        "message": store.redact(ticket.message),
        "note": store.redact(ticket.note),
        "evidence": store.json(ticket.evidence),
        "lease_session": lease.session if lease else None,
        "lease_granted_mono": lease.granted if lease else None,
        "lease_until_mono": lease.until if lease else None,
        "not_before_mono": ticket.not_before,
    }


def ticket_of(row: Mapping[str, Any]) -> Ticket:
    """The ticket that a row keeps."""
    lease = None
    if row["lease_session"] is not None:
        lease = Lease(row["lease_session"], row["lease_granted_mono"], row["lease_until_mono"])
    plain: dict[str, Any] = {name: row[name] for name in _PLAIN}
    instants: dict[str, Any] = {name: _instant(row, name) for name in _INSTANTS}
    return Ticket(
        **plain,
        **instants,
        severity=Severity(row["severity"]),
        state=TicketState(row["state"]),
        message=row["message"],
        note=row["note"],
        evidence=json.loads(row["evidence"]),
        lease=lease,
        not_before=row["not_before_mono"],
    )


def instant_columns(name: str, instant: Instant | None) -> dict[str, object]:
    """The two columns of an instant."""
    return {
        f"{name}_at": timestamp(instant.at) if instant else None,
        f"{name}_mono": instant.monotonic if instant else None,
    }


def _instant(row: Mapping[str, Any], name: str) -> Instant | None:
    if row[f"{name}_at"] is None:
        return None
    return Instant(row[f"{name}_mono"], datetime.fromisoformat(row[f"{name}_at"]))
