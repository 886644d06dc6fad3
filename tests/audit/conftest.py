"""Stores in folders of their own, and a small history to read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from operatorlab.audit import AuditStore, ClientSample, ModelCall, timestamp
from operatorlab.clock import Instant


class Ticking:
    """A clock that moves on by one second at every look."""

    def __init__(self) -> None:
        self._looks = 0

    def now(self) -> Instant:
        self._looks += 1
        return Instant(1000.0 + self._looks, datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=self._looks))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def store(path: Path) -> Iterator[AuditStore]:
    with AuditStore(path, environment={}, clock=Ticking()) as store:
        yield store


@dataclass(frozen=True)
class History:
    """The ids of what `tell` recorded."""

    run: str
    incident: str
    ticket: str
    session: str
    commands: tuple[str, ...]
    call: str
    fault: str


@pytest.fixture
def tell() -> Callable[..., History]:
    """Records one run with a fault, its ticket, and a session on it that ended (unless told to go on)."""
    return _tell


def _tell(store: AuditStore, run: str = "ratelimiter-aaaaaa", *, ended: bool = True) -> History:
    store.begin_run(run, "ratelimiter", "processes", f"/tmp/{run}", seed=7, owner_pid=1, owner_started=2.5)
    truth = {"component": "node-2", "kind": "crash", "mechanism": "killed"}
    fault = store.begin_fault(run, "node_crash", "node-2", truth)
    store.set_fault_memo(fault, {"pid": 4711})
    incident, ticket = _open_ticket(store, run)
    session = store.begin_session(run, incident, "claude", "opus", pid=4242)
    call = store.begin_model_call(session, "opus")
    content = [{"type": "thinking", "thinking": "node-2 does not answer"}, {"type": "text", "text": "I look first."}]
    store.end_model_call(call, ModelCall(1.5, "tool_use", content, 1200, 80, cost_usd=0.0123, priced_by="genai-prices"))
    looked = store.begin_command(session, "supervisorctl status", "see which processes run")
    store.end_command(looked, 0, 0.25, "node-1 RUNNING\nnode-2 EXITED\n", "")
    started = store.begin_command(session, "supervisorctl start node-2", "bring it back")
    if ended:
        store.end_command(started, 0, 1.5, "node-2: started\n", "")
        report = {"outcome": "resolved", "blamed": ["node-2"], "mechanism": "the process was killed"}
        store.end_session(session, "resolved_verified", report, None, 3, 1200, 80, 0.0123)
        store.end_fault(fault)
        now = store.clock.now()
        store.add_client_samples(run, [ClientSample(now.at, now.monotonic, 1.0, 50, 40, 9, 1, 0.002, 0.01)])
    return History(run, incident, ticket, session, (looked, started), call, fault)


def _open_ticket(store: AuditStore, run: str) -> tuple[str, str]:
    """What the monitor writes, in its shortest form."""
    now = store.clock.now()
    incident, ticket = f"01INCIDENT{run[-6:].upper()}", f"01TICKET{run[-6:].upper()}"
    at, mono = timestamp(now.at), now.monotonic
    with store.atomic() as db:
        db.execute(
            "insert into incidents(id, run, opened_at, opened_mono) values (?, ?, ?, ?)", (incident, run, at, mono)
        )
        db.execute(
            "insert into tickets(id, run, incident, fingerprint, invariant, component, severity, state, message,"
            " evidence, violated_at, violated_mono, opened_at, opened_mono, last_broken_at, last_broken_mono)"
            " values (?, ?, ?, 'node_down/node-2', 'node_down', 'node-2', 'critical', 'open', 'refuses', '{}',"
            " ?, ?, ?, ?, ?, ?)",
            (ticket, run, incident, at, mono - 0.5, at, mono, at, mono),
        )
        store.append("ticket.opened", {"message": "refuses"}, run=run, ticket=ticket)
    return incident, ticket
