"""Runs a soak: phase after phase on one lab, until enough was seen."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from itertools import cycle

from operatorlab.clients import Clients
from operatorlab.lab import Lab
from operatorlab.monitor.checking import OBSERVER_BLIND
from operatorlab.monitor.loop import Cycle
from operatorlab.monitor.settings import patience
from operatorlab.soak.benign import Phase, phases
from operatorlab.soak.report import PhaseReport, SoakReport
from operatorlab.subject import Violation

_SHORTEST_S, _LONGEST_S = 4.0, 30.0
Tell = Callable[[str], None]


async def soak(
    lab: Lab,
    *,
    minutes: float = 0.0,
    windows: int = 0,
    seed: int = 7,
    tell: Tell = lambda _: None,
    shortest_s: float = _SHORTEST_S,
) -> SoakReport:
    """Live through every phase at least once, and on until so many minutes have passed and windows were judged.

    `lab` is one that does not run, without a load; it runs until the soak ends. `tell` is told each phase, of which
    none is shorter than `shortest_s`.
    """
    plan = phases(lab.subject)
    reports = {phase.name: PhaseReport(phase.name) for phase in plan}
    least_s = max(60 * minutes, windows * lab.interval_s)
    each_s = min(_LONGEST_S, max(shortest_s, least_s / len(plan)))
    async with lab:
        for number, phase in enumerate(cycle(plan)):
            if number >= len(plan) and _enough(reports, minutes, windows):
                break
            tell(f"{phase.name} for {each_s:.0f} s")
            await _live_through(phase, each_s, lab, reports[phase.name], seed + number)
        rules = patience(lab.subject.invariants, lab.grace_s, others=(OBSERVER_BLIND,))
        return SoakReport(lab.run_id, tuple(reports.values()), rules)


def _enough(reports: dict[str, PhaseReport], minutes: float, windows: int) -> bool:
    lasted_s = sum(report.lasted_s for report in reports.values())
    return lasted_s >= 60 * minutes and sum(report.windows for report in reports.values()) >= windows


async def _live_through(phase: Phase, lasts_s: float, lab: Lab, report: PhaseReport, seed: int) -> None:
    began, known = time.monotonic(), {ticket.id: ticket.recurrences for ticket in lab.board.tickets()}

    def count(item: object) -> None:
        if isinstance(item, Cycle):
            report.windows += 1
            report.broken.update(found.fingerprint for found in item.findings if isinstance(found, Violation))

    async with _clients(lab, phase.load, seed):
        stop_counting = lab.subscribe(count)
        try:
            await _act(phase, began + lasts_s, lab, report)
        finally:
            stop_counting()
    report.lasted_s += time.monotonic() - began
    report.tickets += [ticket for ticket in lab.board.tickets() if known.get(ticket.id, -1) < ticket.recurrences]


async def _act(phase: Phase, until: float, lab: Lab, report: PhaseReport) -> None:
    """Do what belongs to the phase, and look on, until it is over."""
    if phase.deed is not None:
        async with contextlib.aclosing(phase.deed(lab)) as steps:
            async for away in steps:
                report.away += [away] if away is not None else []
                if time.monotonic() >= until:
                    break
    while time.monotonic() < until:
        await lab.monitor.next_cycle()


@contextlib.asynccontextmanager
async def _clients(lab: Lab, load: str | None, seed: int) -> AsyncIterator[None]:
    """The phase's clients, while it lasts."""
    if load is None:
        yield
        return
    record = lab.deployment.folder / "clients.jsonl"
    record.unlink(missing_ok=True)
    clients = Clients(lab.subject.workload(lab.deployment, load, seed, record), record, lab.deployment.environment())
    await clients.start()
    try:
        yield
    finally:
        await clients.stop()
