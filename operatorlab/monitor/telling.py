"""What is told of a ticket's change: the name of its event, and what the event carries."""

from __future__ import annotations

from operatorlab.monitor.tickets import Ticket, TicketState

_ENTERED = {
    TicketState.INVESTIGATING: "leased",
    TicketState.VERIFYING: "claimed",
    TicketState.ESCALATED: "escalated",
    TicketState.RESOLVED: "resolved",
    TicketState.SELF_HEALED: "self_healed",
}

KINDS = frozenset(_ENTERED.values()) | {
    "opened",
    "reopened",
    "released",
    "lease_expired",
    "refuted",
    "held",
    "unheld",
    "holding",
    "wavered",
}
"""Every `<what>` of `ticket.<what>`."""


def what_happened(before: Ticket | None, after: Ticket, *, by_session: bool = False) -> str:
    """The `<what>` of `ticket.<what>`; nothing for mere bookkeeping, such as the time it was last seen broken."""
    if before is None:
        return "opened"
    if before.state is after.state:
        return _within_a_state(before, after)
    if not before.is_live:
        return "reopened"
    return _ENTERED.get(after.state) or _back_to_open(before, after, by_session=by_session)


def payload_of(before: Ticket | None, after: Ticket) -> dict[str, object]:
    """What the event of a change carries. `held_s`: how long the invariant had been seen to hold."""
    payload: dict[str, object] = {
        "fingerprint": after.fingerprint,
        "incident": after.incident,
        "from": before.state.value if before else None,
        "to": after.state.value,
        "message": after.message,
        "note": after.note,
        "attempts": after.attempts,
        "recurrences": after.recurrences,
        "violated_mono": after.violated.monotonic,
    }
    if after.closed is not None and after.holding_since is not None:
        payload["held_s"] = round(after.closed.since(after.holding_since), 6)
    if after.lease is not None:
        payload["lease_s"] = round(after.lease.until - after.lease.granted, 6)
    return payload


def _within_a_state(before: Ticket, after: Ticket) -> str:
    if before.held_by != after.held_by:
        return "held" if after.held_by else "unheld"
    if (before.holding_since is None) != (after.holding_since is None):
        return "holding" if after.holding_since else "wavered"
    return ""


def _back_to_open(before: Ticket, after: Ticket, *, by_session: bool) -> str:
    if before.state is TicketState.VERIFYING:
        return "refuted"
    if after.held_by != before.held_by:
        return "held"
    return "released" if by_session else "lease_expired"
