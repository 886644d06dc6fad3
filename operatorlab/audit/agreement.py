"""Whether the records agree with the events that told of them.

The chain protects events only. But each event of a record carries every column that was written, so a
record that was changed, added or removed behind the store's back stands against the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from operatorlab.audit.chain import Event
from operatorlab.audit.records import TABLE_OF, told

if TYPE_CHECKING:
    from operatorlab.audit.journal import Journal

_UNTOUCHED = (None, 0, "{}")  # what columns hold before anything was written to them


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A record that is not what event `seq` (or any) says."""

    seq: int | None
    why: str


@dataclass(slots=True)
class _Told:
    """What the events say of one record: each column's last value, and the newest event."""

    columns: dict[str, object]
    seq: int


def disagreement(journal: Journal) -> Disagreement | None:
    """The first record that disagrees with its events; None where all agree. One run at a time, for memory's sake."""
    for run in journal.rows("select id from runs order by id"):
        events = journal.events(run=str(run["id"]), kinds=TABLE_OF)
        said = _gather(events)
        for table in sorted(set(TABLE_OF.values())):
            column = "id" if table == "runs" else "run"
            rows = journal.rows(f"select * from {table} where {column} = :run", {"run": run["id"]})  # noqa: S608  fixed names
            wrong = _compare(table, rows, said.get(table, {}))
            if wrong is not None:
                return wrong
    return None


def _gather(events: Iterable[Event]) -> dict[str, dict[str, _Told]]:
    said: dict[str, dict[str, _Told]] = {}
    for event in events:
        records = said.setdefault(TABLE_OF[event.kind], {})
        record = records.setdefault(cast(str, event.payload["id"]), _Told({}, event.seq))
        record.columns.update(event.payload)
        record.seq = event.seq
    return said


def _compare(table: str, rows: Iterable[Mapping[str, object]], said: dict[str, _Told]) -> Disagreement | None:
    missing = dict(said)
    for row in rows:
        expected = missing.pop(str(row["id"]), None)
        if expected is None:
            return Disagreement(None, f"no event tells of {table} {row['id']}")
        for column, value in row.items():
            if (
                told(column, value) != expected.columns[column]
                if column in expected.columns
                else value not in _UNTOUCHED
            ):
                return Disagreement(expected.seq, f"{table} {row['id']}: {column} is not what the events say")
    for id_, record in missing.items():
        return Disagreement(record.seq, f"{table} {id_} is gone")
    return None
