"""How much slower an audited event is than a bare insert into SQLite on the same machine."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from operatorlab.audit import AuditStore

_EVENTS = 2000
_PAYLOAD = {"node": "node-2", "state": "down", "message": "connection refused", "p99_s": 0.012}


def _per_second(write: Callable[[int], object]) -> float:
    began = time.perf_counter()
    for number in range(_EVENTS):
        write(number)
    return _EVENTS / (time.perf_counter() - began)


def _bare(path: Path) -> float:
    """Inserts of the same size, each committed, with the same settings."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = normal")
        db.execute("create table events(seq integer primary key, payload text, hash text unique)")

        def write(number: int) -> None:
            db.execute("insert into events(payload, hash) values (?, ?)", (str(_PAYLOAD), f"{number:064}"))
            db.commit()

        return _per_second(write)


@pytest.mark.benchmark
def test_events_against_bare_inserts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = _bare(tmp_path / "bare.db")
    with AuditStore(tmp_path / "audit.db", environment={}) as store:
        single = _per_second(lambda _: store.append("observed", _PAYLOAD))
        with store.atomic():
            together = _per_second(lambda _: store.append("observed", _PAYLOAD))
        began = time.perf_counter()
        report = store.verify()
        verified = report.events / (time.perf_counter() - began)
        assert report.ok
    with capsys.disabled():
        print(
            f"\naudit: {single:,.0f} events/s, {bare / single:.1f} times a bare insert ({bare:,.0f}/s); "
            f"{together:,.0f}/s in one transaction; {verified:,.0f}/s verified"
        )
