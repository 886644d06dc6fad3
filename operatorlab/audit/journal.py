"""The append-only log: one connection to the audit file, transactions, events.

Several processes may write at once. Within one process use one journal a thread; it cannot be carried
over a fork. Commits survive a kill -9 of any process at any moment; the last ones before a power cut
may be lost (`synchronous=NORMAL`), never the file.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast

from ulid import ULID

from operatorlab.audit import chain
from operatorlab.audit.chain import ChainReport, Event, EventRow
from operatorlab.audit.database import Database
from operatorlab.audit.opening import open_for_reading, open_for_writing
from operatorlab.audit.redaction import Redactor, secrets_of
from operatorlab.audit.trouble import explained
from operatorlab.clock import Clock, Instant, SystemClock
from operatorlab.errors import AuditError
from operatorlab.home import audit_path

_FIELDS = ("seq", "id", "run", "session", "ticket", "at", "mono", "kind", "payload", "prev", "hash")
_READING = object()
_NO_TASK = object()


class Journal:
    """Opens the audit file, appends events and reads them back.

    `environment` (by default this process's) is searched for secrets to redact. Raises AuditCorrupt,
    AuditNewer, AuditFull or NotWritable.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        readonly: bool = False,
    ) -> None:
        self.path = (path or audit_path()).absolute()
        self.clock: Clock = clock or SystemClock()
        self._redactor = Redactor(secrets_of(os.environ if environment is None else environment))
        self._holder: object = None
        self.db: Database = (open_for_reading if readonly else open_for_writing)(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Closing twice is fine."""
        self.db.close()

    # ── writing ────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def atomic(self) -> Iterator[Database]:
        """All or nothing: BEGIN IMMEDIATE … COMMIT; inside another one, a savepoint.

        Never await inside: another task of the same thread would write into this transaction (it gets a
        RuntimeError instead).
        """
        with explained(self.path):
            if self._holder is not None:
                self._must_hold()
                with self.db.atomic():
                    yield self.db
                return
            self.db.execute("begin immediate")
            self._holder = _current_task()
            try:
                yield self.db
                self._must_hold()
                self.db.commit()
            finally:
                self._holder = None
                self.db.rollback()  # does nothing after a commit

    def _must_hold(self) -> None:
        if self._holder is not _current_task():
            raise RuntimeError("another task is inside atomic(), or this one inside snapshot()")
        if not self.db.conn.in_transaction:
            raise AuditError("the transaction was given up after an error that was ignored; nothing of it is kept")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads inside see the file as it is at the first of them; nothing can be written inside."""
        if self._holder is not None:
            yield
            return
        self.db.execute("begin")
        self._holder = _READING
        try:
            yield
        finally:
            self._holder = None
            self.db.rollback()

    def append(
        self,
        kind: str,
        payload: Mapping[str, object],
        *,
        run: str | None = None,
        session: str | None = None,
        ticket: str | None = None,
        at: Instant | None = None,
    ) -> Event:
        """Add one event to the end of the chain, redacted. TypeError if the payload is not JSON-like.

        Without `run`, an event of a session belongs to the session's run.
        """
        if run is None and session is not None:
            run = next(
                (row["run"] for row in self.rows("select run from sessions where id = :id", {"id": session})), None
            )
        return self._append(kind, self.json(payload), run=run, session=session, ticket=ticket, at=at)

    def _append(
        self, kind: str, payload: str, *, run: str | None, session: str | None, ticket: str | None, at: Instant | None
    ) -> Event:
        at = at or self.clock.now()
        with self.atomic() as db:
            last = db.execute("select seq, hash from events order by seq desc limit 1").fetchone() or (0, chain.GENESIS)
            row = EventRow(
                seq=last[0] + 1,
                id=str(ULID.from_datetime(at.at)),
                run=run,
                session=session,
                ticket=ticket,
                at=timestamp(at.at),
                mono=at.monotonic,
                kind=kind,
                payload=payload,
                prev=last[1],
                hash="",
            )
            row["hash"] = chain.digest(row)
            self._insert("events", row)
        return Event.from_row(row)

    def _insert(self, table: str, row: Mapping[str, object]) -> None:
        columns, places = ", ".join(row), ", ".join(f":{name}" for name in row)
        # Names come from this package's own code, values are bound.
        self.db.execute(f"insert into {table} ({columns}) values ({places})", dict(row))  # noqa: S608  see above

    # ── cleaning ───────────────────────────────────────────────────────────────────────────────

    def redact(self, text: str) -> str:
        """`text` as it may be stored or shown: without secrets, and encodable as UTF-8."""
        return self._redactor(text)

    def json(self, value: object) -> str:
        """`value` as canonical JSON text without secrets: how every JSON column is written."""
        return chain.canonical(self._redactor.tree(value))

    # ── reading ────────────────────────────────────────────────────────────────────────────────

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        """The rows of a query, as dicts. ValueError if it returns none by its nature."""
        with explained(self.path):
            return list(self.db.query(sql, dict(parameters or {})))

    def events(
        self,
        *,
        run: str | None = None,
        session: str | None = None,
        ticket: str | None = None,
        kinds: Iterable[str] = (),
        after_seq: int = 0,
        limit: int | None = None,
    ) -> list[Event]:
        """Events in order, narrowed by whatever is given; with `limit`, the first so many."""
        wanted = {"run": run, "session": session, "ticket": ticket}
        where = ["seq > :after_seq", *(f"{name} = :{name}" for name, value in wanted.items() if value is not None)]
        kinds = list(kinds)
        if kinds:
            where.append("kind in (select value from json_each(:kinds))")
        sql = f"select * from events where {' and '.join(where)} order by seq limit :limit"  # noqa: S608  fixed names
        parameters = {
            **wanted,
            "after_seq": after_seq,
            "kinds": chain.canonical(kinds),
            "limit": -1 if limit is None else limit,
        }
        return [Event.from_row(cast(EventRow, row)) for row in self.rows(sql, parameters)]

    def head(self) -> str:
        """The newest event as `seq:hash`. Kept elsewhere, it lets `verify` notice a tail that was cut off."""
        rows = self.rows("select seq, hash from events order by seq desc limit 1")
        return f"{rows[0]['seq']}:{rows[0]['hash']}" if rows else f"0:{chain.GENESIS}"

    def verify(self, pinned: str = "") -> ChainReport:
        """Recompute the whole chain; `pinned` is a `head()` noted earlier."""
        with explained(self.path):
            cursor = self.db.execute(f"select {', '.join(_FIELDS)} from events order by seq")  # noqa: S608  fixed names
            return chain.check((cast(EventRow, dict(zip(_FIELDS, row, strict=True))) for row in cursor), pinned)


def timestamp(at: datetime) -> str:
    """Wall time as the audit file writes it: ISO 8601, UTC, microseconds, so that text order is time order."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _current_task() -> object:
    try:
        return asyncio.current_task() or _NO_TASK
    except RuntimeError:  # no loop runs in this thread
        return _NO_TASK
