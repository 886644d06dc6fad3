"""The log: what goes in comes out, in order, once, all or nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import inf, nan
from pathlib import Path
from types import MappingProxyType

import pytest

from operatorlab.audit import AuditStore, Event, timestamp
from operatorlab.clock import Instant
from operatorlab.errors import AuditError


def test_an_event_comes_back_as_it_was_appended(store: AuditStore) -> None:
    store.begin_run("r-1", "ratelimiter", "processes", "/tmp/x")
    at = Instant(12.5, datetime(2026, 11, 2, 3, 4, 5, 678, tzinfo=UTC))
    written = store.append(
        "noted", {"b": [1, None, 2.5], "a": "ünïcode\x00\n"}, run="r-1", session="s", ticket="t", at=at
    )
    (read,) = store.events(kinds=["noted"])
    assert read == written
    assert (read.run, read.session, read.ticket, read.at, read.mono) == ("r-1", "s", "t", at.at, 12.5)
    assert read.payload == {"b": [1, None, 2.5], "a": "ünïcode\x00\n"}
    assert repr(read) == "<Event 2 noted 03:04:05>"


def test_events_are_narrowed_by_what_is_given(store: AuditStore) -> None:
    store.begin_run("r-1", "x", "processes", "/")
    store.append("a", {}, run="r-1", session="s1")
    store.append("b", {}, run="r-1", ticket="t1")
    store.append("a", {}, session="s2")

    def seqs(events: list[Event]) -> list[int]:
        return [event.seq for event in events]

    assert seqs(store.events()) == [1, 2, 3, 4]
    assert seqs(store.events(run="r-1")) == [1, 2, 3]
    assert seqs(store.events(session="s2")) == [4]
    assert seqs(store.events(ticket="t1")) == [3]
    assert seqs(store.events(kinds=["a"])) == [2, 4]
    assert seqs(store.events(kinds=("a", "b"), after_seq=2, limit=1)) == [3]
    assert store.events(kinds=["a"], limit=0) == []


def test_an_event_of_a_session_belongs_to_its_run(store: AuditStore, tell) -> None:
    history = tell(store)
    assert store.append("tool.refused", {}, session=history.session).run == history.run
    assert store.append("tool.refused", {}, session="unheard-of").run is None


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Reading:
    colour: Colour
    facts: MappingProxyType[str, object]


def test_payloads_take_what_the_lab_passes_around(store: AuditStore) -> None:
    reading = Reading(Colour.RED, MappingProxyType({"p99_s": 0.5}))
    event = store.append(
        "seen",
        {
            "reading": reading,
            "values": (1, nan, -inf),
            "path": Path("/x"),
            "at": datetime(2026, 1, 1, tzinfo=UTC),
            "raw": b"\xff!",
            "alone": "\ud800",
            "set": {3},
            4: True,
        },
    )
    assert event.payload == {
        "reading": {"colour": "red", "facts": {"p99_s": 0.5}},
        "values": [1, "nan", "-inf"],
        "path": "/x",
        "at": "2026-01-01T00:00:00Z",
        "raw": "\\xff!",
        "alone": "\\ud800",
        "set": [3],
        "4": True,
    }


def test_a_payload_that_cannot_be_kept_is_refused_by_name(store: AuditStore) -> None:
    with pytest.raises(TypeError, match="cannot hold a object"):
        store.append("seen", {"what": object()})
    assert store.events() == []


def test_an_unknown_run_is_refused(store: AuditStore) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.append("seen", {}, run="nowhere")
    assert store.verify().events == 0


def test_atomic_is_all_or_nothing(store: AuditStore) -> None:
    def fail() -> None:
        with store.atomic():
            store.append("lost", {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert store.events() == []
    store.append("kept", {})
    assert [event.kind for event in store.events()] == ["kept"]


def test_an_inner_atomic_can_fail_alone(store: AuditStore) -> None:
    def fail() -> None:
        with store.atomic():
            store.append("inner", {})
            raise ValueError("inner")

    with store.atomic():
        store.append("outer", {})
        with pytest.raises(ValueError, match="inner"):
            fail()
        store.append("outer", {})
    assert [event.kind for event in store.events()] == ["outer", "outer"]
    assert store.verify().ok


def test_a_lost_transaction_is_not_taken_for_a_kept_one(store: AuditStore) -> None:
    def lose() -> None:
        with store.atomic() as db:
            store.append("lost", {})
            db.rollback()

    with pytest.raises(AuditError, match="given up"):
        lose()
    assert store.events() == []


async def test_another_task_cannot_slip_into_a_transaction(store: AuditStore) -> None:
    inside, leave = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        with store.atomic():
            store.append("mine", {})
            inside.set()
            await leave.wait()

    holder = asyncio.create_task(hold())
    await inside.wait()
    with pytest.raises(RuntimeError, match="another task"):
        store.append("intruder", {})
    leave.set()
    await holder
    store.append("after", {})
    assert [event.kind for event in store.events()] == ["mine", "after"]


def test_nothing_is_written_in_a_snapshot_and_nothing_new_is_seen(store: AuditStore, path: Path) -> None:
    store.append("before", {})
    with AuditStore(path, environment={}) as other, store.snapshot():
        assert len(store.events()) == 1
        other.append("meanwhile", {})
        assert len(store.events()) == 1
        with pytest.raises(RuntimeError, match="snapshot"):
            store.append("inside", {})
    assert [event.kind for event in store.events()] == ["before", "meanwhile"]


@pytest.mark.parametrize(
    "statement",
    [
        "update events set kind = 'other' where seq = 2",
        "delete from events where seq = 2",
        "delete from events",
        "insert or replace into events select * from events where seq = 2",
        "insert into events select 9, 'i', null, null, null, at, 0, 'k', '', prev, 'h' from events where seq = 1",
        "insert into events select 4, 'i', null, null, null, at, 0, 'k', '', 'no', 'h' from events where seq = 1",
    ],
)
def test_the_log_only_grows_and_only_at_its_end(store: AuditStore, path: Path, statement: str) -> None:
    for number in range(3):
        store.append("counted", {"number": number})
    before = store.events()
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|follow the newest"):
        store.db.execute(statement)
    raw = sqlite3.connect(path)  # without the pragmas of the store
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|follow the newest"):
        raw.execute(statement)
    raw.close()
    assert store.events() == before


def test_times_sort_as_text() -> None:
    whole, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)
    assert timestamp(whole) == "2026-01-01T00:00:00.000000+00:00" < timestamp(later)


def test_a_store_explains_itself(store: AuditStore, path: Path, tmp_path: Path) -> None:
    assert repr(store) == f"<AuditStore {path}>" or len(str(path)) > 80
    deep = tmp_path / ("d" * 100) / "<b>.db"
    with AuditStore(deep, environment={}) as other:
        assert len(repr(other)) <= 100
        assert "&lt;b&gt;.db" in other._repr_html_()
        assert "<b>.db" not in other._repr_html_()
