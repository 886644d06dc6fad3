"""Opens the audit file: looks before it touches, creates it once, brings an older one up to date.

A file that is damaged, foreign or of a later version is found out through a read-only look and left
byte for byte as it was.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from operatorlab.audit.database import Database
from operatorlab.audit.migrations import migrations
from operatorlab.audit.trouble import corrupt, explained, not_writable, reachable
from operatorlab.errors import AuditCorrupt, AuditNewer, BadParameter
from operatorlab.home import make_folder

BUSY_TIMEOUT_S = 30
_MAGIC = b"SQLite format 3\0"
_FORMAT, _WAL_FORMAT = 18, b"\2\2"  # https://www.sqlite.org/fileformat.html#file_format_version_numbers
_CHECKED_ON_OPENING_BYTES = 16 * 2**20  # larger files are checked in full by `verify` only: opening stays quick
SCHEMA_VERSION = 1


def open_for_writing(path: Path) -> Database:
    """A connection to the audit file at `path`, created and migrated as needed."""
    make_folder(path.parent)
    with reachable(path), explained(path):
        if not _writable(path):
            raise not_writable(path, "the file or its folder may not be written")
        if not _is_current(path):
            with _one_at_a_time(path.parent):
                _create_or_migrate(path)
        return _connect(path)


def open_for_reading(path: Path) -> Database:
    """A connection that can change nothing. BadParameter where there is no audit file yet."""
    with reachable(path), explained(path):
        if not path.exists() or path.stat().st_size == 0:
            raise BadParameter(
                f"there is no audit file at {path} yet",
                cause="nothing has been run with this OPERATORLAB_HOME",
                next_step="make demo, or choose another folder: export OPERATORLAB_HOME=…",
            )
        _is_current(path)
        # An ordinary connection where that is possible: it takes part in the locking and removes its side files.
        db = _connect(path) if _writable(path) else Database(_connect_readonly(path))
        db.execute("pragma query_only = on")
        return db


def _connect(path: Path) -> Database:
    db = Database(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S))
    try:
        db.execute("pragma synchronous = normal")
        db.execute("pragma foreign_keys = on")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _writable(path: Path) -> bool:
    # Who the process acts as counts, where the system can tell that from who started it.
    effective = os.access in os.supports_effective_ids
    return all(os.access(p, os.W_OK, effective_ids=effective) for p in (path.parent, path) if p.exists())


def _connect_readonly(path: Path) -> sqlite3.Connection:
    """A read-only connection that leaves no file behind.

    Reading a WAL database creates `-wal` and `-shm` beside it, unless SQLite is told that nobody writes;
    nobody does where there is no `-wal`.
    """
    nobody_writes = not path.with_name(path.name + "-wal").exists()
    uri = path.absolute().as_uri() + "?mode=ro" + ("&immutable=1" if nobody_writes else "")
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)


def _is_current(path: Path) -> bool:
    """Whether the file is an audit file that needs nothing; raises where it must not be touched."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    if not path.is_file():
        raise corrupt(path, "it is not a regular file")
    with path.open("rb") as file:
        header = file.read(20)
    if not header.startswith(_MAGIC):
        raise corrupt(path, "it is not a database")
    while True:
        before = _traces(path)
        try:
            return _look(path) and header[_FORMAT : _FORMAT + 2] == _WAL_FORMAT
        except (AuditCorrupt, sqlite3.DatabaseError):
            if before == _traces(path):
                raise
            # A writer was at work during a look that took no locks: what it saw may never have been.


def _traces(path: Path) -> tuple[int, int, bool]:
    state = path.stat()
    return state.st_mtime_ns, state.st_size, path.with_name(path.name + "-wal").exists()


def _look(path: Path) -> bool:
    db = Database(_connect_readonly(path))
    try:
        _refuse_damaged(db, path)
        _refuse_foreign(db, path)
        return not migrations.pending(db)
    finally:
        db.close()


def _refuse_damaged(db: Database, path: Path) -> None:
    pages, page_bytes = (db.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "page_size"))
    alone = not path.with_name(path.name + "-wal").exists()
    if alone and pages * page_bytes > path.stat().st_size:
        raise corrupt(path, "its end is missing")
    if pages * page_bytes <= _CHECKED_ON_OPENING_BYTES:
        first = db.execute("pragma quick_check(1)").fetchone()[0]
        if first != "ok":
            raise corrupt(path, str(first))


def _refuse_foreign(db: Database, path: Path) -> None:
    version = db.execute("pragma user_version").fetchone()[0]
    applied = {step.name for step in migrations.applied(db)}
    if not applied and not version:
        if db.table_names():
            raise corrupt(path, "it is a database of another program")
        return
    with Database(memory=True) as blank:
        known = {step.name for step in migrations.pending(blank)}
    if applied - known or version > SCHEMA_VERSION:
        raise AuditNewer(
            f"{path} was written by a later version of operatorlab (schema {version}, this one knows {SCHEMA_VERSION})",
            cause="an older operatorlab is on the PATH; the file was left as it is",
            next_step="pip install --upgrade operatorlab, or set OPERATORLAB_HOME to another folder",
        )


def _create_or_migrate(path: Path) -> None:
    if _is_current(path):
        return  # another process did it while this one waited
    db = _connect(path)
    try:
        path.chmod(0o600)
        db.enable_wal()
        db.execute("begin immediate")
        try:
            migrations.apply(db)
            db.commit()
        finally:
            db.rollback()
    finally:
        db.close()


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let one process at a time through: switching to WAL cannot wait for other connections by itself."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
