"""What an operator makes of each fault.

One lab, one fault, one session, and what was left of it:

    async for tried in try_faults("ratelimiter", deployment="processes", brain="runbook"):
        print(tried.fault, tried.result)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from operatorlab.errors import OperatorLabError, TimedOut
from operatorlab.lab import Lab
from operatorlab.monitor.tickets import Ticket, TicketState
from operatorlab.registry import find_fault, find_subject

if TYPE_CHECKING:
    from operatorlab.agent import SessionResult
    from operatorlab.injection import Injected

_NOTICED_WITHIN_S = 20.0
_VERIFY_S = 20.0
_WELL_WITHIN_S = 30.0


class Result(StrEnum):
    """How it ended, by the state of the system and not by anybody's word."""

    REPAIRED = "repaired"  # the monitor verified it, and the fault is no longer in force
    ESCALATED = "escalated"  # the operator handed it to a person, and did no harm
    FAILED = "failed"  # neither
    HARMED = "harmed"  # once the fault was undone, the system was not well: something else had been broken


@dataclass(frozen=True, slots=True)
class Tried:
    """One fault, and what became of it. `outcome` is how the session ended; `took_s` is its length, seconds."""

    fault: str
    target: str
    result: Result
    outcome: str
    right: bool  # whether the report blames the component that is to blame, and nothing else
    took_s: float


async def try_faults(
    subject: str, *, deployment: str, brain: str = "runbook", names: Collection[str] = ()
) -> AsyncIterator[Tried]:
    """Try each fault that exists on `deployment`, or those of `names`, each in a lab of its own. UnknownName."""
    known = find_subject(subject)
    for name in names:
        find_fault(known, name, deployment=deployment)
    for fault in known.faults:
        wanted = fault.name in names or not (names or fault.latent)  # of what is latent there is nothing to notice
        if wanted and deployment in fault.deployments:
            yield await _try(subject, fault.name, deployment, brain)


async def first_sign(lab: Lab, injected: Injected, within_s: float) -> Ticket:
    """The first open ticket that shows the fault, and not only how it came about; TimedOut if there is none in time."""
    signs = find_fault(lab.subject, injected.name, injected.target).signs()
    try:
        async with asyncio.timeout(within_s):
            while True:
                for ticket in lab.board.tickets(TicketState.OPEN):
                    if ticket.fingerprint in signs:
                        return ticket
                await lab.monitor.next_cycle()
    except TimeoutError:
        raise TimedOut(f"no ticket showed {injected!r} within {within_s:g} s: {sorted(signs)}") from None


async def _try(subject: str, name: str, deployment: str, brain: str) -> Tried:
    async with Lab(subject, deployment=deployment, grace_s=0, hold_s=1.0) as lab:
        injected = await lab.inject(name)
        truth = find_fault(lab.subject, name).truth()
        try:
            ticket = await first_sign(lab, injected, _NOTICED_WITHIN_S)
        except TimedOut:
            return Tried(name, injected.target, Result.FAILED, "not_noticed", right=False, took_s=0.0)
        began = lab.clock.now()
        session = await lab.operate(ticket, brain=brain, verify_s=_VERIFY_S)
        took_s = round(lab.clock.now().since(began), 1)
        result = await result_of(lab, injected, session)
        right = session.report is not None and session.report.blamed == (truth.component,)
        return Tried(name, injected.target, result, str(session.outcome), right, took_s)


async def result_of(lab: Lab, injected: Injected, session: SessionResult) -> Result:
    """What became of a fault, found out by undoing it."""
    from operatorlab.agent import Outcome

    repaired = session.outcome is Outcome.RESOLVED_VERIFIED and not await lab.active(injected)
    try:
        await lab.heal(injected)
        await lab.healthy(_WELL_WITHIN_S)
    except OperatorLabError:
        return Result.HARMED
    if repaired:
        return Result.REPAIRED
    return Result.ESCALATED if session.outcome is Outcome.ESCALATED else Result.FAILED
