"""One laboratory: a subject that runs, a monitor that watches it, clients that load it, an audit that keeps it all.

    async with Lab("ratelimiter") as lab:
        await lab.inject("node_crash", target="node-2")
        ticket = await lab.next_ticket()
        session = await lab.operate(ticket)

The lab only wires the rooms together. It owns what it starts: leaving the context, an exception or the
end of the Python process ends the monitor, the clients and every process of the subject. Where one cell
starts it and another ends it, `await lab.start()` and `await lab.stop()` do the same as the context.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from operatorlab.audit import AuditStore
from operatorlab.clients import Clients
from operatorlab.clock import Clock, SystemClock
from operatorlab.deploy.base import LabDeployment
from operatorlab.deploy.kinds import bring_up
from operatorlab.errors import BadParameter, TimedOut, UnknownName
from operatorlab.injection import Injected, Injections
from operatorlab.monitor.board import Board
from operatorlab.monitor.loop import Cycle, Monitor, MonitorStopped
from operatorlab.monitor.settings import Grace
from operatorlab.monitor.tickets import Policy, Ticket, TicketState
from operatorlab.registry import find_subject
from operatorlab.sandbox import Mode
from operatorlab.subject import DEPLOYMENTS, PROCESSES, Observation, Subject
from operatorlab.under_way import UnderWay

if TYPE_CHECKING:
    from operatorlab.agent import Budget, Gate, Instructions, SessionResult
    from operatorlab.agent.brains import Brain
    from operatorlab.widgets.watch import Watch


class Lab:
    """A laboratory for one subject.

    `load` names one of the subject's load profiles (default: its first; "none" for no clients), `seed` makes
    the load repeatable, `interval_s` is the monitor's, `grace_s` overrides the grace period of every invariant,
    or of those it names, and `hold_s` is how long the invariants must hold before a ticket is resolved. `store`
    is by default the audit file of `operatorlab.home`. With `on`, a deployment of the
    subject that runs already, nothing is brought up, and the deployment outlives the lab.
    """

    def __init__(  # noqa: PLR0913  what a lab is made of
        self,
        subject: str | Path = "ratelimiter",
        *,
        deployment: str = PROCESSES,
        load: str | None = None,
        seed: int = 7,
        interval_s: float = 0.25,
        grace_s: Grace = None,
        hold_s: float = 2.0,
        store: AuditStore | None = None,
        on: LabDeployment | None = None,
    ) -> None:
        if deployment not in DEPLOYMENTS:
            raise UnknownName("deployment", deployment, DEPLOYMENTS)
        self.kind = on.kind if on else deployment
        self.subject: Subject = on.subject if on else find_subject(str(subject))
        self.load = self._checked_load(load)
        self.seed = seed
        self.interval_s = interval_s
        self.grace_s = grace_s
        self.policy = Policy(hold_s=hold_s)
        self.clock: Clock = SystemClock()
        self._given_store = store
        self._given_deployment = on
        self._running: UnderWay | None = None
        self._stack = AsyncExitStack()
        self._listeners: list[Callable[[Any], None]] = []

    def _checked_load(self, load: str | None) -> str | None:
        known = self.subject.loads
        if load is None:
            return known[0] if known else None
        if load not in (*known, "none"):
            raise UnknownName("load", load, (*known, "none"))
        return None if load == "none" else load

    def __repr__(self) -> str:
        if self._running is None:
            return f"<Lab {self.subject.name}: not started>"
        return f"<Lab {self.run_id}: {self.subject.title}; {self.deployment.record.within}>"

    def _repr_html_(self) -> str:
        from operatorlab.widgets import html

        return html.lab(self)

    # ── life ───────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> Self:
        """Bring the subject up, wait until it is healthy, then start the clients. Leaves nothing if that fails."""
        if self._running is not None:
            raise BadParameter(f"{self!r} runs already", next_step="await lab.stop() first, or make another Lab")
        async with AsyncExitStack() as stack:
            store = self._given_store or stack.enter_context(AuditStore())
            deployment = self._given_deployment or await self._bring_up(stack)
            self._running = await self._wire(store, deployment, stack)
            stack.callback(self._forget)
            await self.healthy()
            await self._start_clients(stack)
            self._stack = stack.pop_all()
        return self

    async def _bring_up(self, stack: AsyncExitStack) -> LabDeployment:
        deployment = await bring_up(self.kind, self.subject)
        stack.push_async_callback(deployment.down)
        stack.callback(atexit.unregister, last_resort := functools.partial(_take_down, deployment.run_id))
        atexit.register(last_resort)
        return deployment

    async def stop(self) -> None:
        """End everything that this lab started. Does nothing if it does not run."""
        await self._stack.aclose()

    async def reset(self) -> None:
        """Make the subject as new, under the same monitor and clients. Open tickets close when it is well again."""
        await self.deployment.reset(spare={self.clients_pid} if self.clients_pid else set())

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, trouble: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _wire(self, store: AuditStore, deployment: LabDeployment, stack: AsyncExitStack) -> UnderWay:
        run = deployment.run_id
        options = {"load": self.load, "interval_s": self.interval_s, "grace_s": self.grace_s, **asdict(self.policy)}
        store.begin_run(
            run, self.subject.name, self.kind, str(deployment.folder), self.seed, os.getpid(), options=options
        )
        stack.callback(store.end_run, run, "stopped")
        board = Board(store, run, self.policy, self.clock)
        monitor = Monitor(
            self.subject, deployment, store, board=board, interval_s=self.interval_s, grace_s=self.grace_s
        )
        running = UnderWay(store, deployment, board, monitor, Injections(store, deployment))
        running.background(self._watch_over(monitor), "monitor", stack)
        return running

    async def _watch_over(self, monitor: Monitor) -> None:
        """The monitor, and its cycles handed to whoever subscribed. Raises what ended the monitor."""
        running = asyncio.create_task(monitor.run(), name=repr(monitor))
        try:
            with contextlib.suppress(MonitorStopped):
                while True:
                    self._publish(await monitor.next_cycle())
            await running
        finally:
            running.cancel()
            await asyncio.wait([running])

    async def _start_clients(self, stack: AsyncExitStack) -> None:
        if self.load is None:
            return
        record = self.deployment.folder / "clients.jsonl"
        argv = self.subject.workload(self.deployment, self.load, self.seed, record)
        clients = Clients(argv, record, self.deployment.environment())
        await clients.start()
        self._now_running.clients = clients
        stack.push_async_callback(clients.stop)
        self._now_running.background(clients.follow(self.store, self.run_id), "clients", stack)

    def _forget(self) -> None:
        self._running = None

    # ── parts ──────────────────────────────────────────────────────────────────────────────────

    @property
    def _now_running(self) -> UnderWay:
        if self._running is None:
            raise BadParameter(f"{self!r}", next_step="async with Lab(…) as lab: …  or  await lab.start()")
        return self._running

    @property
    def run_id(self) -> str:
        """The name of this run, in the audit and on disk."""
        return self.deployment.run_id

    @property
    def store(self) -> AuditStore:
        return self._now_running.store

    @property
    def deployment(self) -> LabDeployment:
        return self._now_running.deployment

    @property
    def clients_pid(self) -> int | None:
        """The process that plays the clients; None if there are none."""
        return self._now_running.clients.pid if self._now_running.clients else None

    @property
    def board(self) -> Board:
        return self._now_running.board

    @property
    def monitor(self) -> Monitor:
        return self._now_running.monitor

    # ── watching ───────────────────────────────────────────────────────────────────────────────

    def subscribe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Have `callback` called with each monitor `Cycle` and each operator `Step`; call the result to end that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def watch(self) -> Watch:
        """Live panels for one notebook cell: `async with lab.watch() as panel: await panel.until(…)`."""
        from operatorlab.widgets.watch import watch

        return watch(self)

    def _publish(self, item: object) -> None:
        for listener in tuple(self._listeners):
            listener(item)

    async def healthy(self, timeout_s: float = 30.0) -> Observation:
        """Wait for an observation in which everything is up and was seen. TimedOut says what was wrong last."""
        seen = await self._await_cycle(lambda cycle: self.subject.healthy(cycle.observation), timeout_s)
        if seen is not None:
            return seen.observation
        latest = self.monitor.latest
        raise TimedOut(
            f"{self.subject.name} was not healthy within {timeout_s:g} s: {_what_is_wrong(latest)}",
            next_step=f"look into the logs: {self.deployment.logs}",
        )

    async def next_ticket(self, timeout_s: float = 30.0) -> Ticket:
        """Wait for a ticket that nobody works on, the oldest first. TimedOut if none opens."""
        await self._await_cycle(lambda _: bool(self.board.tickets(TicketState.OPEN)), timeout_s)
        for ticket in self.board.tickets(TicketState.OPEN):
            return ticket
        raise TimedOut(
            f"no ticket was opened within {timeout_s:g} s",
            cause="nothing is broken, or what is broken is still within its grace period",
            next_step="await lab.healthy(), or a longer timeout_s",
        )

    async def _await_cycle(self, wanted: Callable[[Cycle], bool], timeout_s: float) -> Cycle | None:
        """The first monitor cycle that is `wanted`, from the latest one on; None after `timeout_s`."""
        cycle = self.monitor.latest
        try:
            async with asyncio.timeout(timeout_s):
                while cycle is None or not wanted(cycle):
                    cycle = await self._now_running.guarded(self.monitor.next_cycle())
        except TimeoutError:
            return None
        return cycle

    # ── breaking and repairing ─────────────────────────────────────────────────────────────────

    async def inject(self, name: str, target: str | None = None) -> Injected:
        """Break something on purpose: a fault, or a composite. See `Injections.inject`."""
        return await self._now_running.injections.inject(name, target, load=self.load or "none")

    async def active(self, injected: Injected) -> bool:
        """Whether the fault's mechanism is in force right now, from the system's own state."""
        return await self._now_running.injections.active(injected)

    async def heal(self, injected: Injected) -> None:
        """Undo a fault."""
        await self._now_running.injections.heal(injected)

    async def operate(
        self,
        ticket: Ticket,
        brain: str | Brain = "runbook",
        *,
        instructions: Instructions | None = None,
        budget: Budget | None = None,
        gate: Gate | str = "none",
        verify_s: float = 60.0,
        mode: str = Mode.OPERATE,
        allow_bare_host: bool = False,
    ) -> SessionResult:
        """Let an operator work on the ticket's incident; returns when the monitor has given its verdict.

        `brain` is `runbook`, `noop`, `claude` or a Brain of your own; `verify_s` is how long the monitor has to
        confirm. `instructions` is what it is told otherwise than usual; with the gate `deny_destructive`, commands
        that say that they destroy are not run. With the mode `observe` the boundary lets it look and touch nothing.
        BareHostRefused for a real model without a boundary, unless `allow_bare_host`.
        """
        from operatorlab.agent import Budget as DefaultBudget
        from operatorlab.agent import Gate, Operator
        from operatorlab.agent.brains import make_brain
        from operatorlab.agent.prompts import STANDARD

        chosen = make_brain(brain, subject=self.subject) if isinstance(brain, str) else brain
        async with self.deployment.sandbox(self.store.path, Mode(mode)) as sandbox:
            operator = Operator(
                self.store,
                self.board,
                sandbox,
                chosen,
                briefing=self.subject.briefing(self.deployment),
                instructions=instructions or STANDARD,
                budget=budget or DefaultBudget(),
                gate=Gate(gate),
                verify_s=verify_s,
                on_step=self._publish,
                allow_bare_host=allow_bare_host,
            )
            return await self._now_running.guarded(operator.handle(ticket.incident))


def _what_is_wrong(cycle: Cycle | None) -> str:
    if cycle is None:
        return "it was never observed"
    seen = cycle.observation
    wrong = [f"{node.name} is {node.state} ({node.reason})" for node in seen.nodes if node.state != "up"]
    wrong += [f"could not see {blind.what} of {blind.component}: {blind.why}" for blind in seen.blind]
    return "; ".join(wrong) or "everything looked well, but not all at once"


def _take_down(run_id: str) -> None:
    """The last resort, at the end of Python: event loops and threads are gone by then, a new process can do it."""
    command = [sys.executable, "-m", "operatorlab", "down", run_id]
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=30, check=False)
