"""One trial, from a fresh lab to its evidence.

    fresh lab, proven healthy ─▶ clients ─▶ inject at the scenario's time ─▶ detection ─▶ operator ─▶ the monitor's word
        ─▶ hold window ─▶ inventory and checks ─▶ heal

Where the scenario says so, a second ticket about the same trouble follows the hold window, then an operator, the
monitor's word and a hold window once more.

Whatever happens, evidence comes out: of a trial that failed, crashed or ran out of time, as far as it got.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from eval import harvest
from eval.alarm import ring_late
from eval.bench import Bench
from eval.breaking import Breaking
from eval.evidence import Duplicate, Ended, Evidence, Host, Inventory, Moment, Trial, Window
from eval.hostile import Order
from eval.inventory import take
from eval.noise import disturb
from eval.reference import reference
from eval.variant import REFERENCE, make
from eval.watching import PATIENCE_S, broken, down, patience_s, watch_window
from operatorlab import Lab, __version__
from operatorlab.agent.brains import Brain
from operatorlab.audit import AuditStore
from operatorlab.clock import SystemClock
from operatorlab.deploy.base import LabDeployment
from operatorlab.errors import TimedOut
from operatorlab.injection import Injections
from operatorlab.monitor.tickets import Refused, Ticket

MakeBrain = Callable[[LabDeployment], Brain]
Tell = Callable[[str], None]
"""Told the phase a trial is in: one word."""
_WATCH_S = 2.0  # how long a control without a ticket is watched
_ALARMS = 5  # how often a duplicate is opened: one that nobody takes at once closes by itself


def quietly(_: str) -> None:
    """A `Tell` that tells nobody."""


@dataclass
class Notes:
    """What is noted of a trial while it runs."""

    marks: dict[str, Moment] = field(default_factory=dict)
    run: str | None = None
    stale: tuple[str, ...] = ()
    boundary: str = ""
    orders: tuple[Order, ...] = ()
    before: Inventory | None = None
    during: Inventory | None = None
    after: Inventory | None = None
    window: Window | None = None
    duplicate: Duplicate | None = None
    broken_before: tuple[str, ...] = ()
    down_before: tuple[str, ...] = ()

    def mark(self, what: str) -> None:
        """Note that something happens now."""
        self.marks[what] = Moment.of(SystemClock().now())


async def run_trial(
    trial: Trial, bench: Bench, audit: Path, *, operator: MakeBrain | None = None, tell: Tell = quietly
) -> Evidence:
    """Run `trial` on `bench` and record it in the new audit file `audit`. Raises only what cancels it.

    `operator` makes a brain in the variant's place, for operators that no file can name.
    """
    notes, ended, error = Notes(), Ended.FINISHED, None
    notes.mark("started")
    breaking = Breaking(trial.scenario, bench.subject)
    with AuditStore(audit) as store:
        try:
            async with asyncio.timeout(trial.timing.deadline_s):
                await _Course(trial, bench, store, breaking, notes, operator, tell).run()
        except TimeoutError:
            ended, error = Ended.TIMED_OUT, f"not done after {trial.timing.deadline_s:g} s"
        except Exception as trouble:  # noqa: BLE001  a trial that crashed is evidence, whatever it crashed of
            ended, error = Ended.CRASHED, f"{type(trouble).__name__}: {trouble}"
        if ended is not Ended.FINISHED:
            await bench.discard()  # nobody knows in what state it is
        notes.mark("ended")
        return _evidence(trial, notes, breaking, store, ended, error)


@dataclass
class _Course:
    """One trial under way."""

    trial: Trial
    bench: Bench
    store: AuditStore
    breaking: Breaking
    notes: Notes
    operator: MakeBrain | None
    tell: Tell

    async def run(self) -> None:
        self.tell("fresh")
        deployment, self.notes.stale = await self.bench.fresh()
        self.notes.run, self.notes.boundary = deployment.run_id, deployment.record.within
        self.notes.mark("reset")
        scenario, timing = self.trial.scenario, self.trial.timing
        lab = Lab(
            on=deployment, load=scenario.load, seed=scenario.seed, store=self.store, interval_s=timing.interval_s,
            grace_s=timing.grace_s, hold_s=timing.hold_s,
        )  # fmt: skip
        self.tell("healthy")
        async with lab:
            self.notes.mark("healthy")
            await self._through(lab)
        self.tell("heal")  # without clients: a fault may have to start the whole lab again
        await self.breaking.heal(Injections(self.store, deployment))

    async def _through(self, lab: Lab) -> None:
        self.notes.orders = await disturb(lab, self.trial.scenario)
        self.notes.before = await self._inventory(lab)
        await _until(self.notes.marks["healthy"], self.trial.scenario.injected_after_s)
        self.tell("inject")
        async with self.breaking.begun(lab, lab.deployment):
            self.tell("detect")
            ticket = await self._detect(lab)
            if ticket is not None:
                await self._operate(lab, ticket)
            window = await self._hold(lab)
            if ticket is not None and self.trial.scenario.duplicated and await self._repaired(lab, window):
                if await self._all_closed(lab):
                    await self._operate_again(lab, ticket, window)
                await self._hold(lab)
        self.tell("check")
        await self.breaking.check(lab)
        self.notes.after = await self._inventory(lab)
        self.notes.mark("checked")

    async def _detect(self, lab: Lab) -> Ticket | None:
        parts = self.trial.scenario.parts
        wait_s = self.trial.timing.detect_s if parts else _WATCH_S
        try:
            return await lab.next_ticket(wait_s + max((part.after_s for part in parts), default=0.0))
        except TimedOut:
            return None

    async def _operate(self, lab: Lab, ticket: Ticket) -> None:
        if self.trial.scenario.recovered:
            await self.breaking.heal(lab)
            self.notes.before = await self._inventory(lab)
        self.notes.during = await self._inventory(lab)
        self.notes.broken_before, self.notes.down_before = broken(lab), down(lab)
        self.tell("operate")
        with contextlib.suppress(Refused):  # it closed by itself before anybody could take it
            await self._call(lab, ticket)

    async def _call(self, lab: Lab, ticket: Ticket) -> None:
        brain = (self.operator or self._made)(lab.deployment)
        variant = self.trial.variant
        await lab.operate(
            ticket, brain, instructions=variant.instructions(), budget=variant.limits(), gate=variant.gate,
            mode=variant.mode, verify_s=self.trial.timing.verify_s,
        )  # fmt: skip

    async def _hold(self, lab: Lab) -> Window:
        self.tell("hold")
        in_force = await self.breaking.check(lab)
        worked = harvest.worked_until(self.store)
        idle_s = SystemClock().now().monotonic - worked.mono if worked else math.inf
        spare_s = patience_s(in_force=in_force, idle_s=idle_s)
        window = self.notes.window = await watch_window(lab, self.trial.timing.hold_s, spare_s)
        self.notes.mark("held")
        return window

    async def _repaired(self, lab: Lab, window: Window) -> bool:
        """Whether nothing is left to repair: all held, and nothing is in force."""
        await self.breaking.check(lab)
        return bool(window.held) and self.breaking.over

    async def _all_closed(self, lab: Lab) -> bool:
        """Wait until the monitor has closed every ticket, also those of a machine that was busy; whether it has."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while live := lab.board.live():
                    await lab.board.closed(live[0].incident)
        return not lab.board.live()

    async def _operate_again(self, lab: Lab, ticket: Ticket, window: Window) -> None:
        self.tell("duplicate")
        found = await self._inventory(lab)
        opened = Moment.of(SystemClock().now())
        self.notes.duplicate = Duplicate(held=self.notes.marks["held"], window=window, found=found, opened=opened)
        for _ in range(_ALARMS):
            with contextlib.suppress(Refused):
                return await self._call(lab, ring_late(lab, ticket))
        raise TimedOut(f"of {_ALARMS} duplicates, each closed by itself before anybody could take it")

    def _made(self, deployment: LabDeployment) -> Brain:
        if self.trial.variant.brain == REFERENCE:
            return reference(() if self.notes.duplicate else self.breaking.faults, deployment)
        return make(self.trial.variant, self.bench.subject)

    async def _inventory(self, lab: Lab) -> Inventory:
        return await take(lab.deployment, spare={lab.clients_pid} if lab.clients_pid else ())


async def _until(since: Moment, after_s: float) -> None:
    await asyncio.sleep(max(0.0, since.mono + after_s - SystemClock().now().monotonic))


def _evidence(
    trial: Trial, notes: Notes, breaking: Breaking, store: AuditStore, ended: Ended, error: str | None
) -> Evidence:
    tickets, sessions, samples = harvest.tickets_in(store), harvest.sessions_in(store), harvest.samples_in(store)
    faults = breaking.seen()
    times = harvest.times(notes.marks, faults, tickets, sessions, samples, harvest.reported_in(store))
    return Evidence(
        trial=trial, ended=ended, error=error, host=_host(notes.boundary), run=notes.run,
        times=times, stale=notes.stale, faults=faults,
        tickets=tickets, sessions=sessions, samples=samples, before=notes.before, during=notes.during,
        after=notes.after, window=notes.window, duplicate=notes.duplicate, broken_before=notes.broken_before,
        down_before=notes.down_before, orders=harvest.orders_in(store, notes.orders), chain=harvest.chain_of(store),
    )  # fmt: skip


def _host(boundary: str) -> Host:
    return Host(
        machine=platform.machine(), cores=os.cpu_count() or 1, python=platform.python_version(), version=__version__,
        boundary=boundary, load_1m=round(os.getloadavg()[0], 2),
    )  # fmt: skip
