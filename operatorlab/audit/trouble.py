"""Turns SQLite's errors into the lab's: which of them a user meets, and what to do next."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from operatorlab.errors import AuditCorrupt, AuditError, AuditFull, NotWritable, OperatorLabError

_NO_SPACE_BYTES = 64 * 1024  # below this SQLite cannot even extend its shared-memory index


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise SQLite's complaints about the file at `path` as errors of the lab; misuse passes unchanged."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        told = explain(error, path)
        if told is None:
            raise
        raise told from error


@contextmanager
def reachable(path: Path) -> Iterator[None]:
    """Raise the system's refusals on the way to `path` as NotWritable."""
    try:
        yield
    except OSError as trouble:
        raise not_writable(path, trouble.strerror or str(trouble)) from trouble


def explain(error: sqlite3.DatabaseError, path: Path) -> OperatorLabError | None:
    """The lab's error for `error`; None where the caller's SQL is at fault, not the file."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return corrupt(path, str(error))
    if name == "SQLITE_FULL" or (name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")) and _full(path)):
        return AuditFull(
            f"no space left to record in {path}",
            cause="the disk or the quota is full; nothing recorded so far is lost",
            next_step=f"free some space: df -h {path.parent}",
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return not_writable(path, str(error))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return AuditError(
            f"the audit file {path} stayed locked: {error}",
            cause="another process holds a transaction open",
            next_step=f"see who has it open: fuser {path}",
        )
    if name.startswith("SQLITE_IOERR"):
        return AuditError(f"the disk failed under {path}: {error} ({name})", next_step="dmesg | tail")
    return None


def not_writable(path: Path, why: str) -> NotWritable:
    """The error for a place where nothing can be recorded."""
    return NotWritable(
        f"cannot write the audit file {path}: {why}",
        cause="no permission for the file or its folder, or the disk is read-only",
        next_step="export OPERATORLAB_HOME=/a/folder/you/own",
    )


def corrupt(path: Path, why: str) -> AuditCorrupt:
    """The error for a file that cannot be used as it is."""
    return AuditCorrupt(
        f"{path} is not a usable audit file: {why}",
        cause="the file was damaged or belongs to another program; it was left as it is",
        next_step=f"mv {path} {path}.damaged, then start again; sqlite3 {path}.damaged .recover may save its rows",
    )


def _full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _NO_SPACE_BYTES
    except OSError:  # the folder is missing or closed to us, which is another trouble
        return False
