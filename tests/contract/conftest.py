"""A whole rate limiter under its steady load, with a monitor that has no grace, shared by the tests of a file."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from operatorlab.audit import AuditStore
from operatorlab.clients import Clients
from operatorlab.deploy.base import LabDeployment
from operatorlab.deploy.kinds import bring_up
from operatorlab.injection import Injected, Injections
from operatorlab.monitor.board import Board
from operatorlab.monitor.loop import Cycle, Monitor
from operatorlab.monitor.tickets import Policy, Ticket
from operatorlab.subject import COMPOSE, PROCESSES, Composite, Fault
from subjects.ratelimiter.subject import RateLimiter

HEALTHY_WITHIN_S = 60.0  # on a busy machine containers take their time
POLICY = Policy(hold_s=1.0, reopen_s=0.0)  # each trouble is a ticket of its own, however soon it returns


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A fault is tested where its mechanism exists; one that only containers have, by the tests that matter most."""
    items[:] = [item for item in items if _wanted(item)]


def _wanted(item: pytest.Item) -> bool:
    spec: Any = getattr(item, "callspec", None)
    kind, lab = (spec.params.get(name) if spec else None for name in ("kind", "lab"))
    if kind is None or lab is None:
        return True
    briefly = kind.deployments == (COMPOSE,)  # tests/deploy/compose/ tries each of its mechanisms in many more ways
    return lab[0] in kind.deployments and not (briefly and item.name.startswith(("test_blames", "test_a_reset")))


@dataclass
class WatchedLab:
    """A lab and the monitor that watches it."""

    deployment: LabDeployment
    monitor: Monitor
    board: Board
    watching: "asyncio.Task[None]"
    clients: Clients
    audit: Path
    injections: Injections

    async def cycle(self) -> Cycle:
        """The next turn of the monitor; whatever ended it is raised."""
        waiting = asyncio.ensure_future(self.monitor.next_cycle())
        await asyncio.wait({waiting, self.watching}, return_when=asyncio.FIRST_COMPLETED)
        if self.watching.done():
            await self.watching
        return await waiting

    async def until(self, true: Callable[[Cycle], bool], within_s: float, what: str) -> float:
        """Wait for a cycle of which `true` holds; seconds it took to the end of that cycle."""
        began = time.monotonic()
        while not true(cycle := await self.cycle()):
            assert time.monotonic() - began < within_s, f"not {what} within {within_s} s: {self.describe(cycle)}"
        return time.monotonic() - began

    async def healthy(self) -> None:
        """Everything up and seen, nothing broken, nothing undecided, every ticket closed."""

        def well(cycle: Cycle) -> bool:
            subject = self.monitor.subject
            return subject.healthy(cycle.observation) and not cycle.findings and not self.board.live()

        await self.until(well, HEALTHY_WITHIN_S, "healthy")

    @contextlib.asynccontextmanager
    async def broken(self, fault: Fault) -> AsyncIterator[Mapping[str, Any]]:
        """The fault is in force; gives its memo, as another process would read it from the audit.

        It is undone at the end. When what happens meanwhile fails, the lab is made as new: one failure stays one.
        """
        try:
            memo = json.loads(json.dumps(dict(await fault.inject(self.deployment))))
            yield memo
            await fault.heal(self.deployment, memo)
        except BaseException:
            await asyncio.shield(self.deployment.reset(spare={self.clients.pid or 0}))
            raise

    @contextlib.asynccontextmanager
    async def played(self, composite: Composite) -> AsyncIterator[Injected]:
        """The composite, at the end of its play; when what happens then fails, the lab is made as new."""
        try:
            yield await self.injections.inject(composite.name)
        except BaseException:
            await asyncio.shield(self.deployment.reset(spare={self.clients.pid or 0}))
            raise

    async def found(self, fault: Fault, within_s: float) -> Ticket:
        """Wait for one of the tickets that must open."""

        def live() -> list[Ticket]:
            return [ticket for ticket in self.board.live() if ticket.fingerprint in fault.signs()]

        await self.until(lambda _: bool(live()), within_s, f"found, which is one of {sorted(fault.signs())}")
        return live()[0]

    async def closed(self, ticket: Ticket, within_s: float) -> None:
        """Wait until the monitor has closed a ticket."""
        await self.until(lambda _: not self.board.ticket(ticket.id).is_live, within_s, f"closed: {ticket.fingerprint}")

    def live(self, fingerprint: str) -> Ticket | None:
        return next((ticket for ticket in self.board.live() if ticket.fingerprint == fingerprint), None)

    def describe(self, cycle: Cycle) -> str:
        members = [f"{node.name} {node.state} {node.reason}" for node in cycle.observation.nodes]
        return f"{members}; {cycle.findings}; {[ticket.fingerprint for ticket in self.board.live()]}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[WatchedLab]:
    """`request.param`, where a file sets it, names the deployment and the load; `patient`: with the usual grace."""
    kind, load, *patient = getattr(request, "param", (PROCESSES, "steady"))
    if kind == COMPOSE:
        request.getfixturevalue("containers")
    folder = tmp_path_factory.mktemp("contract")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPERATORLAB_HOME", str(folder / "home"))
        async with watched_lab(folder, kind, load, grace_s=None if patient else 0.0) as running:
            yield running


@contextlib.asynccontextmanager
async def watched_lab(folder: Path, kind: str, load: str, grace_s: float | None = 0.0) -> AsyncIterator[WatchedLab]:
    subject = RateLimiter()
    async with contextlib.AsyncExitStack() as stack:
        deployment = await bring_up(kind, subject)
        stack.push_async_callback(deployment.down)
        record = folder / "clients.jsonl"
        clients = Clients(subject.workload(deployment, load, 7, record), record, deployment.environment())
        await clients.start()
        stack.push_async_callback(clients.stop)
        store = stack.enter_context(AuditStore(folder / "audit.db"))
        store.begin_run(deployment.run_id, subject.name, kind, str(deployment.folder))
        board = Board(store, deployment.run_id, POLICY)
        monitor = Monitor(subject, deployment, store, board=board, grace_s=grace_s)
        watching = asyncio.create_task(monitor.run())
        stack.push_async_callback(_end, watching)
        yield WatchedLab(deployment, monitor, board, watching, clients, store.path, Injections(store, deployment))


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
