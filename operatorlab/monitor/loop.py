"""The monitor: look, judge, record; again and again, on a schedule that does not drift, and sooner when woken.

    monitor = Monitor(subject, deployment, store, board=Board(store, run_id))
    task = asyncio.create_task(monitor.run())
    cycle = await monitor.next_cycle()

It reads the subject and writes the audit; it knows nothing of faults or operators. A look that fails
is a blind cycle: every member unknown, no rule judged, nothing resolved.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from operatorlab.audit import AuditStore
from operatorlab.clock import Clock, Instant, SystemClock
from operatorlab.errors import BadParameter, OperatorLabError
from operatorlab.monitor.board import Board
from operatorlab.monitor.changes import Changes
from operatorlab.monitor.checking import OBSERVER_BLIND, Checked, History, check, nothing_seen
from operatorlab.monitor.look import Looker, LookFailed, blind_observation
from operatorlab.monitor.metrics import Metrics
from operatorlab.monitor.settings import Grace, patience
from operatorlab.monitor.tickets import Ticket
from operatorlab.monitor.waking import Pace, Waking, unwell
from operatorlab.monitor.watchers import identify
from operatorlab.subject import Deployment, Finding, Observation, Subject


class MonitorStopped(OperatorLabError):
    """A cycle was awaited of a monitor that has ended."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a cycle cost: seconds of looking, of judging and recording, and of this thread's processor.

    `cpu_s` counts everything that ran on the thread meanwhile: the truth about a monitor in its own
    process, an upper bound in a notebook.
    """

    observe_s: float
    judge_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True, repr=False)
class Cycle:
    """One turn: what was seen, what the rules said, and which tickets changed visibly."""

    number: int
    observation: Observation
    findings: tuple[Finding, ...]
    changed: tuple[Ticket, ...]
    cost: Cost
    failed: tuple[tuple[str, str], ...] = ()
    """Rules whose check raised, and why."""

    @property
    def cost_s(self) -> float:
        """Seconds from the beginning to the end of the cycle."""
        return self.cost.observe_s + self.cost.judge_s

    def __repr__(self) -> str:
        return (
            f"<Cycle {self.number}: {len(self.findings)} findings, {len(self.changed)} tickets changed, "
            f"{self.cost_s * 1000:.0f} ms>"
        )


class Monitor:
    """Watches one deployment. `grace_s` overrides the grace of invariants, all or by name; `deadline_s` bounds a look.

    `interval_s` is from one look to the next while all is quiet; see `waking` for when it looks sooner.
    """

    def __init__(
        self,
        subject: Subject,
        deployment: Deployment,
        store: AuditStore,
        *,
        board: Board,
        interval_s: float = 0.5,
        grace_s: Grace = None,
        deadline_s: float = 5.0,
        clock: Clock | None = None,
    ) -> None:
        _check_parameters(interval_s=interval_s, deadline_s=deadline_s)
        self.subject = subject
        self.board = board
        self.interval_s = interval_s
        self.latest: Cycle | None = None
        self._store = store
        self._clock: Clock = clock or SystemClock()
        self._rules = patience(subject.invariants, grace_s, others=(OBSERVER_BLIND,))
        self._deployment = deployment
        self._looker = Looker(subject, deployment, deadline_s)
        self._pace = Pace(interval_s)
        self._waking = Waking()
        self._history = History(max((rule.window_s for rule in subject.invariants), default=0.0))
        self._changes = Changes()
        self._metrics = Metrics()
        self._one_at_a_time = asyncio.Lock()
        self._waiting: list[asyncio.Future[Cycle]] = []
        self._ended = False

    def __repr__(self) -> str:
        number = self.latest.number if self.latest else 0
        return f"<Monitor of {self.board.run_id}: cycle {number}, every {self.interval_s:g} s>"

    @property
    def metrics(self) -> CollectorRegistry:
        """What this monitor tells Prometheus."""
        return self._metrics.registry

    async def run(self) -> None:
        """Cycle until cancelled. What cannot be recorded ends it: AuditFull and its like are raised."""
        identity = identify(self.interval_s)
        self._store.append("monitor.started", identity, run=self.board.run_id, at=self._clock.now())
        how = "killed"
        try:
            await self._cycle_forever()
        except asyncio.CancelledError:
            how = "stopped"
            raise
        except Exception as trouble:
            how = f"failed: {trouble}"
            raise
        finally:
            trouble_closing = "cancelled while closing"
            try:
                trouble_closing = await self.close()
            finally:  # a second cancellation must not keep the end from being recorded
                payload = {**identity, "how": how, "trouble": trouble_closing}
                self._store.append("monitor.stopped", payload, run=self.board.run_id, at=self._clock.now())

    async def _cycle_forever(self) -> None:
        due = self._clock.now().monotonic
        while True:
            cycle = await self.cycle()
            self._waking.follow(self._deployment)
            self._waking.follow(self._looker.observer)
            now = self._clock.now().monotonic
            pause_s = self._pace.next_s(unwell(cycle.observation, cycle.findings, self.board.live()), now)
            due = next_due(due, pause_s, now)
            if await self._waking.wait(due - now):
                due = self._clock.now().monotonic

    async def cycle(self) -> Cycle:
        """Look once, judge, record. A second call waits for the first to end."""
        async with self._one_at_a_time:
            started, cpu = self._clock.now(), time.thread_time()
            observation, why = await self._look(started)
            looked = self._clock.now()
            self._history.add(observation)
            checked = (
                nothing_seen(self.subject.invariants, why) if why else check(self.subject.invariants, self._history)
            )
            changed = self._record(observation, checked, started)
            cost = Cost(looked.since(started), self._clock.now().since(looked), time.thread_time() - cpu)
            number = self.latest.number + 1 if self.latest else 1
            cycle = Cycle(number, observation, checked.findings, tuple(changed), cost, checked.failed)
            self._publish(cycle, look_failed=bool(why))
            return cycle

    async def next_cycle(self) -> Cycle:
        """Wait for the next cycle to end. MonitorStopped if there will be none."""
        if self._ended:
            raise MonitorStopped(f"the monitor of {self.board.run_id} has ended")
        waiting: asyncio.Future[Cycle] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        return await waiting

    async def close(self) -> str:
        """End the observer, and tell those who wait for a cycle; `run` does this itself. Returns what went wrong."""
        self._ended = True
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_exception(MonitorStopped(f"the monitor of {self.board.run_id} has ended"))
        await self._waking.close()
        return await self._looker.close()

    async def _look(self, started: Instant) -> tuple[Observation, str]:
        """What was seen, and why nothing was, if so."""
        try:
            return await self._looker.look(), ""
        except LookFailed as failed:
            took = self._clock.now().since(started)
            return blind_observation(self.subject.members, started, took, str(failed)), str(failed)

    def _record(self, observation: Observation, checked: Checked, started: Instant) -> list[Ticket]:
        told = self._changes.of(observation, checked)
        if told:
            with self._store.atomic():
                for kind, payload in told:
                    self._store.append(kind, payload, run=self.board.run_id, at=self._clock.now())
        blind_to = {blind.component for blind in observation.blind}
        return self.board.judge(checked.violations, checked.undecided, started, rules=self._rules, blind_to=blind_to)

    def _publish(self, cycle: Cycle, *, look_failed: bool) -> None:
        self.latest = cycle
        cost = cycle.cost
        self._metrics.cycle(observe_s=cost.observe_s, judge_s=cost.judge_s, cpu_s=cost.cpu_s, look_failed=look_failed)
        self._metrics.seen(cycle.observation)
        self._metrics.tickets(self.board.counts())
        for invariant, _ in cycle.failed:
            self._metrics.check_failed(invariant)
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(cycle)


def next_due(due: float, interval_s: float, now: float) -> float:
    """The first instant after `now` on the grid of `due`: what was missed is skipped, never caught up."""
    return due + interval_s * max(1, math.ceil((now - due) / interval_s))


def _check_parameters(*, interval_s: float, deadline_s: float) -> None:
    if not 0 < interval_s < math.inf:
        raise BadParameter(f"the interval must be more than 0 seconds, not {interval_s}")
    if not 0 < deadline_s < math.inf:
        raise BadParameter(f"the deadline must be more than 0 seconds, not {deadline_s}")
