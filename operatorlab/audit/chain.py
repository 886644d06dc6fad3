"""The hash chain over events: what is hashed, and how a broken chain is found.

Each event carries the hash of the one before it (`prev`) and its own (`hash`), the SHA-256 of the
canonical JSON of its other fields. The payload enters as the text that is stored, so anybody can
recompute a hash from the row alone:

    {"at":…,"id":…,"kind":…,"mono":…,"payload":"…","prev":…,"run":…,"seq":…,"session":…,"ticket":…}

Changing, removing, inserting or swapping rows breaks the chain at that place. What it cannot see is a
tail that was cut off, or a chain rewritten from some place to its end: for that, keep `head` (the
newest `seq:hash`) somewhere else and give it to `verify`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TypedDict

GENESIS = ""
"""`prev` of the first event."""


class EventRow(TypedDict):
    """One row of the table `events`."""

    seq: int
    id: str
    run: str | None
    session: str | None
    ticket: str | None
    at: str
    mono: float
    kind: str
    payload: str
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class Event:
    """One event, its payload parsed."""

    seq: int
    id: str
    run: str | None
    session: str | None
    ticket: str | None
    at: datetime
    mono: float
    kind: str
    payload: Mapping[str, object]
    prev: str
    hash: str

    def __repr__(self) -> str:
        return f"<Event {self.seq} {self.kind} {self.at:%H:%M:%S}>"

    @classmethod
    def from_row(cls, row: EventRow) -> Event:
        """The event a row holds."""
        parsed = {"at": datetime.fromisoformat(row["at"]), "payload": json.loads(row["payload"])}
        return cls(**{**row, **parsed})


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What checking found. `broken_at` is the `seq` of the first event that does not fit."""

    ok: bool
    events: int
    broken_at: int | None = None
    why: str = ""
    head: str = ""

    def __repr__(self) -> str:
        state = "valid" if self.ok else f"broken at {self.broken_at}: {self.why}"
        return f"<ChainReport {self.events} events, {state}>"


def canonical(value: object) -> str:
    """JSON with sorted keys, no blanks, non-ASCII kept. ValueError on NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(row: Mapping[str, object]) -> str:
    """The hash of an event's row: SHA-256, in hex, over all its fields but `hash`."""
    return sha256(canonical({name: value for name, value in row.items() if name != "hash"}).encode()).hexdigest()


def check(rows: Iterable[EventRow], pinned: str = "") -> ChainReport:
    """Recompute the chain over `rows`, oldest first; `pinned` is a head (`seq:hash`) noted earlier."""
    pin_seq, _, pin_hash = pinned.partition(":")
    seen, prev, pin_met = 0, GENESIS, pin_seq in ("", "0")
    for row in rows:
        wrong = _misfit(row, seen + 1, prev)
        if not wrong and str(row["seq"]) == pin_seq:
            pin_met = row["hash"] == pin_hash
            wrong = "" if pin_met else "its hash is not the pinned one: the chain was rewritten"
        if wrong:
            return ChainReport(ok=False, events=seen, broken_at=row["seq"], why=wrong, head=_head(seen, prev))
        seen, prev = seen + 1, row["hash"]
    if not pin_met:
        why = f"the chain ends at {seen}, before the pinned event {pin_seq}: its tail was cut off"
        return ChainReport(ok=False, events=seen, broken_at=seen + 1, why=why, head=_head(seen, prev))
    return ChainReport(ok=True, events=seen, head=_head(seen, prev))


def _misfit(row: EventRow, seq: int, prev: str) -> str:
    """Why `row` cannot come next, or nothing."""
    if row["seq"] != seq:
        return f"event {seq} is missing"
    if row["prev"] != prev:
        return "it does not follow the event before it"
    return "" if digest(row) == row["hash"] else "its contents do not match its hash"


def _head(seq: int, digest_: str) -> str:
    return f"{seq}:{digest_}"
