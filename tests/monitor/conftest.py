"""A clock that stands still until told, an audit file with one run, and the small subject of lamps.py."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from operatorlab.audit import AuditStore
from operatorlab.clock import Instant
from operatorlab.monitor.board import Board
from operatorlab.monitor.tickets import Policy

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.append(HERE)

from lamps import RUN, Files, Lamps  # noqa: E402  found through the line above


@dataclass
class SetClock:
    """Shows what it was set to."""

    monotonic: float = 1000.0
    wall: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> Instant:
        return Instant(self.monotonic, self.wall)

    def forward(self, seconds: float) -> Instant:
        self.monotonic += seconds
        self.wall += timedelta(seconds=seconds)
        return self.now()

    def reboot(self) -> Instant:
        self.monotonic = 1.0
        self.wall += timedelta(seconds=60)
        return self.now()


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def store(tmp_path):
    with AuditStore(tmp_path / "audit.db") as store:
        store.begin_run(RUN, "lamps", "files", str(tmp_path / "lamps"))
        yield store
        assert store.verify().ok


@pytest.fixture
def policy():
    return Policy(hold_s=2, settle_s=3, reopen_s=600, lease_s=15, max_attempts=3, backoff_s=5, incident_window_s=30)


@pytest.fixture
def board(store, clock, policy):
    return Board(store, RUN, policy, clock)


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "lamps"
    root.mkdir()
    files = Files(root)
    files.put_all("on")
    return files


@pytest.fixture
def lamps():
    return Lamps()
