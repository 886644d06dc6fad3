"""A small real subject: three lamps, each a file that says `on`, `dim` or `off`. Looking is reading files.

A missing file is a lamp that is down; a folder in its place cannot be read, which is blindness. Files
named `hang`, `stubborn`, `raise`, `stale` and `forget` beside the lamps make the observer itself misbehave.

Run as a program it is a nursery: for each line `monitor` or `operator SEED` on its input it forks such a
process and prints its id. Forking is quick, so that many can be killed in little time.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from operatorlab.audit import AuditStore
from operatorlab.errors import UserError
from operatorlab.monitor.board import Board
from operatorlab.monitor.loop import Monitor
from operatorlab.monitor.tickets import Policy
from operatorlab.subject import (
    Blind,
    Blueprint,
    Invariant,
    Member,
    Node,
    NodeState,
    Observation,
    Subject,
    Undecided,
    Violation,
)

RUN = "lamps-test"
NAMES = ("lamp-1", "lamp-2", "lamp-3")
STATES = {"on": NodeState.UP, "dim": NodeState.DEGRADED, "off": NodeState.DOWN}
BRISK = Policy(hold_s=0.05, settle_s=0.1, lease_s=0.3, backoff_s=0.02, max_attempts=3, max_recurrences=10**6)


@dataclass(frozen=True)
class Files:
    """The deployment: a folder."""

    root: Path
    run_id: str = RUN

    async def trouble(self) -> str:
        """What stands in the file `away` beside the lamps, such as that nobody can reach them."""
        away = self.root / "away"
        return away.read_text() if away.exists() else ""

    def put(self, name: str, content: str) -> None:
        """Replace a file at once, so that nobody reads half of it. Test and operators do so at the same time."""
        new = self.root / f".{name}.{os.getpid()}.new"
        new.write_text(content)
        new.replace(self.root / name)

    def put_all(self, content: str) -> None:
        for name in NAMES:
            self.put(name, content)


class LampObserver:
    """Reads the files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.looks = 0
        self.closed = False
        self.last: Observation | None = None

    async def observe(self) -> Observation:
        self.looks += 1
        await self._misbehave()
        if (self.root / "stale").exists() and self.last:
            return self.last
        seen = [self._lamp(name) for name in NAMES if not (name == "lamp-3" and (self.root / "forget").exists())]
        nodes = tuple(node for node, _ in seen)
        blind = tuple(blind for _, blind in seen if blind)
        self.last = Observation(datetime.now(UTC), time.monotonic(), 0.0, nodes, blind=blind)
        return self.last

    async def _misbehave(self) -> None:
        if (self.root / "raise").exists():
            raise RuntimeError("the observer has a bug")
        if (self.root / "hang").exists():
            await asyncio.Event().wait()
        while (self.root / "stubborn").exists():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    def _lamp(self, name: str) -> tuple[Node, Blind | None]:
        try:
            text = (self.root / name).read_text().strip()
        except FileNotFoundError:
            return Node(name, "lamp", NodeState.DOWN, "there is no such file"), None
        except OSError as trouble:
            why = str(trouble.strerror)
            return Node(name, "lamp", NodeState.UNKNOWN, why), Blind("light", name, why)
        return Node(name, "lamp", STATES[text], f"it says {text}"), None


def lamp_off(history, rule):
    for node in history[-1].nodes:
        if node.state is NodeState.UNKNOWN:
            yield Undecided(rule.name, node.name, node.reason)
        if node.state is NodeState.DOWN:
            yield Violation(rule.name, node.name, f"{node.name} is off: {node.reason}")


def lamp_dim(history, rule):
    for name in NAMES:
        if all(seen.node(name).state is NodeState.DEGRADED for seen in history):
            yield Violation(rule.name, name, f"{name} is dim", evidence={"looks": len(history)})


def observer_blind(history, rule):
    for blind in history[-1].blind:
        yield Violation(rule.name, blind.component, f"cannot see {blind.what}: {blind.why}")


OFF = Invariant("lamp_off", "every lamp gives light", lamp_off)
DIM = Invariant("lamp_dim", "no lamp is dim", lamp_dim, grace_s=0.05, window_s=0.2)
BLIND = Invariant("observer_blind", "everything can be seen", observer_blind)


class Lamps(Subject):
    """The subject. `observer_` is the observer that was opened last."""

    name = "lamps"
    title = "Three lamps"
    members = tuple(Member(name, "lamp") for name in NAMES)
    ports = ()
    invariants = (OFF, DIM, BLIND)
    faults = ()
    observer_: LampObserver | None = None

    def blueprint(self, site):
        return Blueprint(processes=())

    @contextlib.asynccontextmanager
    async def observer(self, deployment):
        if (deployment.root / "unopenable").exists():
            raise RuntimeError("no way in")
        self.observer_ = LampObserver(deployment.root)
        try:
            yield self.observer_
        finally:
            self.observer_.closed = True

    def briefing(self, deployment):
        return "three lamps"


# ── processes that tests kill ──────────────────────────────────────────────────────────────────


def watch(audit: Path, root: Path) -> None:
    """A monitor, until it is killed."""
    subject = Lamps()
    subject.invariants = (OFF, replace(DIM, grace_s=0.0, window_s=0.0), BLIND)

    async def forever():
        with AuditStore(audit) as store:
            board = Board(store, RUN, BRISK)
            await Monitor(subject, Files(root), store, board=board, interval_s=0.01).run()

    asyncio.run(forever())


def operate(audit: Path, root: Path, seed: int) -> None:
    """An operator of little skill, until it is killed: leases, repairs, claims, and sometimes gives up."""
    chance = random.Random(seed)
    with AuditStore(audit) as store:
        board = Board(store, RUN, BRISK)
        while True:
            incident = board.next_incident()
            if incident is None:
                time.sleep(0.002)
                continue
            with contextlib.suppress(UserError):  # another operator was faster, or the lease ran out
                _work_on(board, incident, f"s{os.getpid()}", chance, Files(root))


def _work_on(board: Board, incident: str, session: str, chance: random.Random, files: Files) -> None:
    for ticket in board.lease(incident, session):
        time.sleep(chance.uniform(0, 0.01))
        if chance.random() < 0.7:
            files.put(ticket.component, "on")
    board.renew(incident, session)
    last = chance.choices([board.claim, board.release, board.escalate], [8, 2, 1])[0]
    last(incident, session, "done")


def nursery(audit: Path, root: Path) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    for line in sys.stdin:
        what, *seed = line.split()
        child = os.fork()
        if child:
            os.write(1, f"{child}\n".encode())
            continue
        os.close(0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if what == "monitor":
            watch(audit, root)
        else:
            operate(audit, root, int(seed[0]))


if __name__ == "__main__":
    nursery(Path(sys.argv[1]), Path(sys.argv[2]))
