"""A full disk: said so, nothing recorded is lost, and recording goes on once there is room."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from operatorlab.audit import AuditStore
from operatorlab.errors import AuditFull

_MOUNTED = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" "$3" "$1"'


def _own_mounts() -> list[str] | None:
    """A command that runs another one with mounts of its own, where this machine lets us."""
    for command in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        try:
            test = [*command, "sh", "-c", "mount -t tmpfs none /mnt"]
            if subprocess.run(test, capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            return None
    return None


def test_a_full_file_system_stops_recording_and_loses_nothing(tmp_path: Path) -> None:
    unshare = _own_mounts()
    if unshare is None:
        pytest.skip("no file system can be mounted here, even in a namespace of its own")
    script = str(Path(__file__).with_name("disk.py"))
    command = [*unshare, "sh", "-c", _MOUNTED, "sh", str(tmp_path), sys.executable, script]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    acknowledged = told["acknowledged"]
    assert acknowledged > 20
    assert "no space left" in told["error"]
    assert "df -h" in told["error"]
    assert told["full"] == {"events": 2 * acknowledged, "valid": True}
    assert told["freed"] == {"events": 2 * acknowledged + 1, "valid": True}
    assert told["again"] == {"events": 2 * acknowledged + 1, "valid": True, "damage": []}
    assert "no space left" in told["crowded"]


def test_a_full_file_stops_recording_and_loses_nothing(store: AuditStore) -> None:
    acknowledged: list[object] = []

    def fill() -> None:
        while True:
            acknowledged.append(store.append("counted", {"padding": "x" * 1000}).seq)

    (pages,) = store.rows("pragma page_count")
    store.rows(f"pragma max_page_count = {pages['page_count'] + 10}")
    with pytest.raises(AuditFull, match="no space left"):
        fill()
    assert len(acknowledged) > 5
    assert [event.seq for event in store.events()] == acknowledged
    store.rows("pragma max_page_count = 100000")
    store.append("after", {})
    assert store.verify().events == len(acknowledged) + 1
    assert store.verify().ok
