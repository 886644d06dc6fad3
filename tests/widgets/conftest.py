"""Values to show, and a small lab that holds a real audit store and a real board."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from operatorlab.agent.steps import Step, StepKind
from operatorlab.audit import AuditStore
from operatorlab.audit.records import ClientSample
from operatorlab.clock import Instant
from operatorlab.monitor.board import Board
from operatorlab.subject import Node, Observation, Violation

_HOSTILE = (
    "<script>globalThis.pwned=1</script><img src=x onerror=globalThis.pwned=1>"
    "</pre></script></style>\"'><svg onload=globalThis.pwned=1>\x1b[31mred\x1b]0;t\x07\x00\u202egnp.exe{{ 7 * 7 }}"
)
"""What a subject, a log or a model might print to get out of its place."""
AT = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def _seen(*states, reason="", facts=None, blind=()):
    nodes = tuple(
        Node(f"node-{i}", "limiter", state, reason, facts or {"pid": 40 + i}) for i, state in enumerate(states, 1)
    )
    return Observation(AT, 100.0, 0.012, nodes, {}, blind)


def _step(kind, text, command_id=None, **more):
    return Step(StepKind(kind), "s1", Instant(100.0, AT), text, command_id=command_id, **more)


@pytest.fixture(scope="session")
def seen():
    """Makes an observation of nodes in the given states."""
    return _seen


@pytest.fixture(scope="session")
def step():
    """Makes a step of a session: kind, text, command id."""
    return _step


@pytest.fixture(scope="session")
def hostile():
    return _HOSTILE


@dataclass
class WatchedLab:
    """What the panels need of a lab, with real storage behind it."""

    store: AuditStore
    board: Board
    run_id: str = "small-abcdef"
    subject: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(title="small subject"))
    monitor: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(latest=None))
    listeners: list[Callable[[object], None]] = field(default_factory=list)

    def subscribe(self, callback):
        self.listeners.append(callback)
        return lambda: self.listeners.remove(callback) if callback in self.listeners else None

    def publish(self, item):
        if isinstance(item, Observation):
            item = SimpleNamespace(observation=item)
            self.monitor.latest = item
        for listener in tuple(self.listeners):
            listener(item)

    def break_(self, invariant="node_down", component="node-2", message="no answer"):
        return self.board.judge([Violation(invariant, component, message)], [], Instant(100.0, AT))

    def clients(self, *errors):
        self.store.add_client_samples(
            self.run_id, [ClientSample(AT, 100.0 + i, 0.25, 10, 10 - e, 0, e, 0.01, 0.05) for i, e in enumerate(errors)]
        )


@pytest.fixture
def watched(tmp_path):
    with AuditStore(tmp_path / "audit.db") as store:
        store.begin_run("small-abcdef", "small", "processes", str(tmp_path), 7, os.getpid())
        yield WatchedLab(store, Board(store, "small-abcdef"))


class Output:
    """An output area: keeps what was shown, and every update."""

    def __init__(self):
        self.shown = []
        self.changed = asyncio.Event()

    def __call__(self, panel):
        place = Place([panel])
        self.shown.append(place)
        self.changed.set()
        return place


@dataclass
class Place:
    contents: list[object]

    def update(self, content):
        self.contents.append(content)


@pytest.fixture
def output():
    return Output()
