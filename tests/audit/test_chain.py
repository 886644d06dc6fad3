"""Tampering is found: every event and every record is covered, and what is not is told honestly."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operatorlab.audit import AuditStore
from operatorlab.audit.chain import EventRow, check, digest


@contextmanager
def _tampering(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of somebody who can write the file and knows about the triggers."""
    with closing(sqlite3.connect(path)) as raw:
        for (trigger,) in raw.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            raw.execute(f"drop trigger {trigger}")
        yield raw
        raw.commit()


@pytest.mark.parametrize(
    ("statement", "broken_at", "why"),
    [
        ("""update events set payload = replace(payload, 'node-2', 'node-1') where seq = 2""", 2, "contents"),
        ("update events set at = '2020-01-01T00:00:00.000000+00:00' where seq = 3", 3, "contents"),
        ("update events set mono = mono + 0.001 where seq = 3", 3, "contents"),
        ("update events set session = 'another' where seq = 4", 4, "contents"),
        ("delete from events where seq = 5", 6, "event 5 is missing"),
        ("delete from events where seq = 1", 2, "event 1 is missing"),
        (
            "update events set seq = -seq where seq in (4, 5); update events set seq = 9 + seq where seq < 0",
            4,
            "follow",
        ),
        ("update events set hash = upper(hash) where seq = 3", 3, "contents"),
    ],
)
def test_a_changed_log_is_found(store: AuditStore, path: Path, tell, statement: str, broken_at: int, why: str) -> None:
    tell(store)
    assert store.verify().ok
    with _tampering(path) as raw:
        raw.executescript(statement)
    report = store.verify()
    assert (report.ok, report.broken_at) == (False, broken_at)
    assert why in report.why
    assert f"broken at {broken_at}" in repr(report)


def test_a_recomputed_hash_breaks_the_next_link(store: AuditStore, path: Path, tell) -> None:
    tell(store)
    with _tampering(path) as raw:
        raw.row_factory = sqlite3.Row
        row = dict(raw.execute("select * from events where seq = 3").fetchone()) | {"payload": "{}"}
        raw.execute("update events set payload = '{}', hash = ? where seq = 3", (digest(row),))
    assert store.verify().broken_at == 4


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("update commands set stdout = 'all is well'", "stdout"),
        ("update commands set command = 'true' where command like '%start%'", "command"),
        ("update sessions set outcome = 'escalated'", "outcome"),
        ("update sessions set report = json_set(report, '$.mechanism', 'magic')", "report"),
        ("update sessions set cost_usd = 0", "cost_usd"),
        ("update faults set truth = '{}'", "truth"),
        ("update faults set injected_mono = injected_mono + 5", "injected_mono"),
        ("update model_calls set content = '[]'", "content"),
        ("update runs set seed = 8", "seed"),
        ("update runs set ended_how = 'well'", "ended_how"),
        ("delete from commands where command like '%start%'", "is gone"),
        (
            "insert into faults select 'x', run, name, target, truth, memo, injected_at, 1, null, null from faults",
            "no event",
        ),
    ],
)
def test_a_record_changed_behind_the_store_is_found(
    store: AuditStore, path: Path, tell, statement: str, why: str
) -> None:
    tell(store)
    assert store.verify().ok
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(statement)
        raw.commit()
    report = store.verify()
    assert not report.ok
    assert why in report.why


def test_long_outputs_are_covered_by_their_digest(store: AuditStore, path: Path, tell) -> None:
    tell(store)
    other = tell(store, "ratelimiter-bbbbbb", ended=False)
    command = other.commands[1]
    store.end_command(command, 0, 1.0, "line\n" * 10_000, "")
    (event,) = store.events(kinds=["command.ended"], session=other.session)[-1:]
    assert event.payload["stdout"] == {"bytes": 50_000, "sha256": sha256(b"line\n" * 10_000).hexdigest()}
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("update commands set stdout = substr(stdout, 2) where id = ?", (command,))
        raw.commit()
    assert "stdout" in store.verify().why


def test_a_cut_tail_is_seen_only_with_a_head_noted_before(store: AuditStore, path: Path) -> None:
    for number in range(5):
        store.append("counted", {"number": number})
    head = store.head()
    assert head == store.verify().head
    with _tampering(path) as raw:
        raw.execute("delete from events where seq > 3")
    assert store.verify().ok  # the documented limit of a chain
    report = store.verify(head)
    assert (report.ok, report.broken_at) == (False, 4)
    assert "tail was cut off" in report.why


def test_a_rewritten_chain_is_seen_only_with_a_head_noted_before(store: AuditStore, path: Path) -> None:
    for number in range(5):
        store.append("counted", {"number": number})
    head = store.head()
    with _tampering(path) as raw:
        raw.row_factory = sqlite3.Row
        prev = ""
        for row in [dict(row) for row in raw.execute("select * from events order by seq")]:
            row |= {"payload": '{"number":0}', "prev": prev}
            prev = digest(row)
            changed = (row["payload"], row["prev"], prev, row["seq"])
            raw.execute("update events set payload = ?, prev = ?, hash = ? where seq = ?", changed)
    assert store.verify().ok
    assert "rewritten" in store.verify(head).why


def test_a_head_noted_before_still_fits_after_more_events(store: AuditStore) -> None:
    assert store.verify(store.head()).ok
    store.append("first", {})
    head = store.head()
    store.append("second", {})
    assert store.verify(head).ok


def test_the_documented_recipe_gives_the_stored_hash(store: AuditStore, path: Path) -> None:
    store.append("noted", {"what": "ünïcode", "n": 0.1})
    with closing(sqlite3.connect(path)) as raw:
        raw.row_factory = sqlite3.Row
        row = dict(raw.execute("select * from events").fetchone())
    stored = row.pop("hash")
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert sha256(text.encode()).hexdigest() == stored


def _chain(length: int) -> list[EventRow]:
    rows: list[EventRow] = []
    for seq in range(1, length + 1):
        prev = rows[-1]["hash"] if rows else ""
        row = EventRow(
            seq=seq, id=str(seq), run=None, session=None, ticket=None, at="t", mono=seq / 3, kind="k",
            payload="{}", prev=prev, hash="",
        )  # fmt: skip
        row["hash"] = digest(row)
        rows.append(row)
    return rows


_CHANGES: dict[str, Callable[[list[EventRow], int, int], object]] = {
    "remove": lambda rows, i, j: rows.pop(i),
    "swap": lambda rows, i, j: rows.insert(i, rows.pop(j)),
    "repeat": lambda rows, i, j: rows.insert(i, rows[j]),
    "change": lambda rows, i, j: rows[i].update(payload='{"x":1}'),
    "move": lambda rows, i, j: rows[i].update(seq=rows[i]["seq"] + 1 + j),
}


@given(length=st.integers(3, 12), change=st.sampled_from(sorted(_CHANGES)), data=st.data())
def test_any_change_before_the_newest_event_is_found(length: int, change: str, data: st.DataObject) -> None:
    rows = _chain(length)
    assert check(rows).ok
    i = data.draw(st.integers(0, length - 2))
    j = data.draw(st.integers(0, length - 2).filter(lambda j: change != "swap" or j != i))
    _CHANGES[change](rows, i, j)
    assert not check(rows).ok
