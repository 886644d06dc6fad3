"""Opening: made once, brought up to date, and never touched when it is not ours to touch."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from operatorlab.audit import AuditStore
from operatorlab.audit.migrations import APPLICATION_ID, TABLES, migrations
from operatorlab.errors import AuditCorrupt, AuditNewer, BadParameter, NotWritable, OperatorLabError


def _traces(folder: Path) -> dict[str, str]:
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def _refused(path: Path, error: type[OperatorLabError], match: str, *, readonly: bool = False) -> None:
    """Opening fails, and leaves every byte of every file as it was."""
    before = _traces(path.parent)
    with pytest.raises(error, match=match) as caught:
        AuditStore(path, environment={}, readonly=readonly)
    assert str(path) in str(caught.value)
    assert caught.value.next_step
    assert _traces(path.parent) == before


@pytest.fixture
def filled(path: Path, tell) -> Path:
    """An audit file of one run, closed, large enough to have a middle."""
    with AuditStore(path, environment={}) as store:
        tell(store)
        for number in range(400):
            store.append("counted", {"number": number, "padding": "x" * 100})
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return path


def test_a_new_file_is_private_strict_and_in_wal(path: Path) -> None:
    with AuditStore(path, environment={}) as store:
        assert store.db.journal_mode == "wal"
        pragmas = {name: store.rows(f"pragma {name}") for name in ("foreign_keys", "synchronous", "application_id")}
        assert [next(iter(row.values())) for (row,) in pragmas.values()] == [1, 1, APPLICATION_ID]
        assert store.rows("pragma busy_timeout") == [{"timeout": 30_000}]
        assert all(store.db[name].strict for name in TABLES)
        assert store.rows("pragma user_version") == [{"user_version": len(migrations.applied(store.db))}]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_default_file_is_in_the_labs_folder(tmp_path: Path) -> None:
    code = "from operatorlab.audit import AuditStore\nwith AuditStore() as store: print(store.path)"
    environment = {**os.environ, "OPERATORLAB_HOME": str(tmp_path / "new" / "home")}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert Path(printed.stdout.strip()) == tmp_path / "new" / "home" / "audit.db"


def test_opening_again_keeps_everything(filled: Path) -> None:
    for _ in range(2):
        with AuditStore(filled, environment={}) as store:
            assert store.verify().ok
            assert store.counts()["runs"] == 1


def test_an_empty_file_becomes_an_audit_file(path: Path) -> None:
    path.touch()
    with AuditStore(path, environment={}) as store:
        store.append("noted", {})
        assert store.db.journal_mode == "wal"


def test_a_file_that_somebody_took_out_of_wal_is_put_back(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as raw:
        raw.execute("pragma journal_mode = delete")
    with AuditStore(filled, environment={}) as store:
        assert store.db.journal_mode == "wal"
        assert store.verify().ok


def test_a_creation_that_was_cut_short_is_finished(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("pragma journal_mode = wal")
    assert path.stat().st_size > 0
    with AuditStore(path, environment={}) as store:
        assert store.counts()["events"] == 0


@pytest.mark.parametrize(
    "content", [b"hello, this is not a database\n" * 400, b"S", b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_what_is_not_a_database_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _refused(path, AuditCorrupt, "not a")
    _refused(path, AuditCorrupt, "not a", readonly=True)


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("create table cookies(name)")
        raw.commit()
    _refused(path, AuditCorrupt, "another program")


def test_a_folder_in_its_place_is_left_alone(path: Path) -> None:
    path.mkdir()
    (path / "x").touch()
    with pytest.raises(AuditCorrupt, match="not a regular file"):
        AuditStore(path, environment={})


def test_a_file_whose_end_is_missing_is_left_alone(filled: Path) -> None:
    os.truncate(filled, filled.stat().st_size // 2)
    _refused(filled, AuditCorrupt, "not a usable audit file")
    _refused(filled, AuditCorrupt, "not a usable audit file", readonly=True)


def test_a_file_damaged_in_the_middle_is_left_alone(filled: Path) -> None:
    with filled.open("r+b") as file:
        for page in range(8, 20):
            file.seek(4096 * page)
            file.write(b"\xa5" * 512)
    _refused(filled, AuditCorrupt, "not a usable audit file")


def test_a_damaged_file_beside_a_log_of_changes_is_left_alone(filled: Path, tmp_path: Path) -> None:
    store = AuditStore(filled, environment={})
    store.append("only in the log of changes", {})
    there = tmp_path / "copy"
    there.mkdir()
    for name in (filled.name, f"{filled.name}-wal"):
        (there / name).write_bytes((tmp_path / name).read_bytes())
    store.close()
    with (there / filled.name).open("r+b") as file:
        file.seek(4096 * 9)
        file.write(b"\xa5" * 4096 * 6)
    before = _traces(there)
    with pytest.raises(AuditCorrupt):
        AuditStore(there / filled.name, environment={})
    after = _traces(there)
    assert {name: after[name] for name in before} == before


def test_damage_met_later_is_told_as_such(filled: Path) -> None:
    with AuditStore(filled, environment={}) as store, filled.open("r+b") as file:
        root = store.rows("select rootpage from sqlite_master where name = 'commands'")[0]["rootpage"]
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 4096)
        file.flush()
        with pytest.raises(AuditCorrupt):
            store.rows("select * from commands")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into _sqlite_migrations(migration_set, name, applied_at) values ('operatorlab', 'm999_later', 'then')",
        "pragma user_version = 2",
    ],
)
def test_a_file_of_a_later_version_is_left_alone(filled: Path, statement: str) -> None:
    with closing(sqlite3.connect(filled)) as raw:
        raw.execute(statement)
        raw.commit()
    _refused(filled, AuditNewer, "later version")
    _refused(filled, AuditNewer, "later version", readonly=True)


@contextmanager
def _as_ordinary_user() -> Iterator[None]:
    """Root may write anywhere, so a test of permissions steps down for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_permission_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with _as_ordinary_user(), pytest.raises(NotWritable, match=r"cannot write the audit file .*audit\.db"):
            AuditStore(folder / "audit.db", environment={})
        with _as_ordinary_user(), pytest.raises(NotWritable, match="cannot create"):
            AuditStore(folder / "deeper" / "audit.db", environment={})
        assert list(folder.iterdir()) == []
        folder.chmod(0o755)


def test_a_file_without_permission_can_still_be_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name), Path(name) / "audit.db"
        with AuditStore(path, environment={}) as store:
            store.append("noted", {})
        path.chmod(0o444)
        folder.chmod(0o555)
        before = _traces(folder)
        with _as_ordinary_user():
            with pytest.raises(NotWritable):
                AuditStore(path, environment={})
            with AuditStore(path, environment={}, readonly=True) as store:
                assert store.verify().events == 1
        assert _traces(folder) == before
        folder.chmod(0o755)


def test_a_folder_that_cannot_be_entered_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o000)
        with _as_ordinary_user(), pytest.raises(NotWritable, match=r"(?i)denied|may not be written"):
            AuditStore(folder / "audit.db", environment={})
        with _as_ordinary_user(), pytest.raises(NotWritable, match=r"(?i)denied|may not be written"):
            AuditStore(folder / "audit.db", environment={}, readonly=True)
        folder.chmod(0o755)


def test_a_reader_writes_nothing_and_leaves_nothing(filled: Path) -> None:
    before = _traces(filled.parent)
    with AuditStore(filled, environment={}, readonly=True) as store:
        assert store.verify().ok
        with pytest.raises(NotWritable):
            store.append("noted", {})
    assert _traces(filled.parent) == before


def test_a_reader_does_not_create_the_file(path: Path) -> None:
    with pytest.raises(BadParameter, match="no audit file"):
        AuditStore(path, environment={}, readonly=True)
    assert list(path.parent.iterdir()) == []


def test_a_reader_sees_what_a_writer_just_committed(store: AuditStore, path: Path) -> None:
    store.append("first", {})
    with AuditStore(path, environment={}, readonly=True) as reader:
        store.append("second", {})
        assert [event.kind for event in reader.events()] == ["first", "second"]
    store.append("third", {})
    assert store.verify().events == 3


def test_a_backup_is_whole_and_never_overwrites(store: AuditStore, tmp_path: Path, tell) -> None:
    tell(store)
    target = tmp_path / "copy.db"
    store.backup(target)
    with AuditStore(target, environment={}) as copy:
        assert copy.events() == store.events()
        assert copy.verify().ok
    with pytest.raises(BadParameter, match="exists already"):
        store.backup(target)
    with pytest.raises(NotWritable):
        store.backup(tmp_path / "nowhere" / "copy.db")
