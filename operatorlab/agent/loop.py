"""The operator: takes an incident, lets a brain work on it, hands it back, and records how that ended.

    lease ─▶ conversation ─▶ report ─▶ claim ─▶ the monitor confirms ─▶ resolved_verified
      │ renewed while it lasts     └▶ escalate, or release            └▶ claimed_unverified
      └ runs out by itself if this process dies

Whatever happens, the session's end is recorded and the incident is handed back, in one transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from anthropic import APIError, AsyncAnthropic

from operatorlab.agent.brains.base import Brain
from operatorlab.agent.budget import Budget, Meter
from operatorlab.agent.conversation import Conversation
from operatorlab.agent.equipment import EQUIPPED, Equipment, equip
from operatorlab.agent.gate import Gate
from operatorlab.agent.outcome import Claim, Ending, Killed, NotOurs, Outcome, Reported, SessionEnd, Stopped, outcome_of
from operatorlab.agent.prompts import STANDARD, Instructions, incident_text, short
from operatorlab.agent.recorder import Recorder
from operatorlab.agent.report import Report
from operatorlab.agent.steps import OnStep, StepKind
from operatorlab.agent.tools import ReportFiled, Toolbox, ToolBroke
from operatorlab.audit import AuditStore
from operatorlab.errors import BareHostRefused, TimedOut
from operatorlab.monitor.board import Board
from operatorlab.monitor.tickets import LeaseLost, Ticket
from operatorlab.sandbox import Sandbox, SandboxGone


@dataclass(frozen=True, slots=True)
class SessionResult:
    """How a session ended. `cost_usd` counts the calls whose price is known; `error` says why it ended early."""

    session_id: str
    outcome: Outcome
    report: Report | None
    turns: int
    cost_usd: float
    error: str | None = None

    def __repr__(self) -> str:
        return f"<SessionResult {short(self.session_id)}: {self.outcome.value}, {self.turns} turns>"

    def _repr_html_(self) -> str:
        from operatorlab.widgets import html

        return html.session(self)


@dataclass
class _Work:
    """One session under way."""

    incident: str
    tickets: Sequence[Ticket]
    recorder: Recorder
    meter: Meter
    task: asyncio.Task[object]
    report: Report | None = None
    handed_back: bool = False
    interrupted_by: BaseException | None = None

    def interrupt(self, why: BaseException) -> None:
        """End it for a reason of our own; the first one counts."""
        if self.interrupted_by is None:
            self.interrupted_by = why
            self.task.cancel()

    def reason_of(self, error: BaseException) -> BaseException:
        """Why it ended: the cancellation of our own making stands for its reason."""
        if isinstance(error, ToolBroke):
            return error.why
        if isinstance(error, asyncio.CancelledError) and self.interrupted_by is not None:
            self.task.uncancel()
            return error if self.task.cancelling() else self.interrupted_by
        return error


class Operator:
    """Works on incidents, one at a time.

    `briefing` is the subject's text about itself; `instructions` is what it is told otherwise than usual, and `gate`
    what is let through to the shell; `verify_s` is how long to wait for the monitor after a claim; `on_step` follows
    live. Raises BareHostRefused for a brain that needs a boundary and has none,
    unless `allow_bare_host`.
    """

    def __init__(  # noqa: PLR0913  what an operator is made of
        self,
        store: AuditStore,
        board: Board,
        sandbox: Sandbox,
        brain: Brain,
        *,
        briefing: str,
        instructions: Instructions = STANDARD,
        budget: Budget | None = None,
        gate: Gate = Gate.NONE,
        verify_s: float = 60.0,
        allow_bare_host: bool = False,
        on_step: OnStep | None = None,
    ) -> None:
        if brain.needs_isolation and not sandbox.isolated and not allow_bare_host:
            raise BareHostRefused(
                f"{brain.label} may not run commands on this machine: the sandbox is no boundary",
                cause="a real model can do here whatever you can",
                next_step="use an isolated sandbox, or --allow-bare-host if you mean it, or --brain runbook",
            )
        self._store = store
        self._board = board
        self._sandbox = sandbox
        self._brain = brain
        self._briefing = briefing
        self._instructions = instructions
        self._budget = budget or Budget()
        self._gate = gate
        self._verify_s = verify_s
        self._on_step = on_step
        self._work: _Work | None = None

    def __repr__(self) -> str:
        return f"<Operator {self._brain.label}>"

    def stop(self) -> None:
        """End the session under way, if there is one, as `killed`; `handle` still returns its result."""
        if self._work is not None:
            self._work.interrupt(Killed("asked to end"))

    async def handle(self, incident: str) -> SessionResult:
        """Work on an incident from lease to verdict.

        Raises what the board says if it cannot be leased, UserError if the brain cannot be reached at all,
        AuditError if the end cannot be recorded, and CancelledError, after recording it, when cancelled.
        """
        if self._work is not None:
            raise RuntimeError("this operator is at work on another incident")
        async with self._brain.client() as client:
            work = self._work = self._begin(incident)
            try:
                ending: Ending = await self._work_on(client, work)
            except BaseException as error:  # noqa: BLE001  every ending is recorded; _finish lets out what must go on
                ending = work.reason_of(error)
            finally:
                self._work = None
            return self._finish(work, ending)

    def _begin(self, incident: str) -> _Work:
        """Record the session and take the lease: both or neither."""
        task = asyncio.current_task()
        assert task is not None
        run, brain = self._board.run_id, self._brain
        with self._store.atomic():
            session = self._store.begin_session(run, incident, brain.name, brain.model, os.getpid())
            tickets = self._board.lease(incident, session)
        recorder = Recorder(self._store, run, session, self._on_step)
        return _Work(incident, tickets, recorder, Meter(self._budget, self._store.clock), task)

    def _toolbox(self, work: _Work, equipment: Equipment) -> Toolbox:
        citable = {short(ticket.id): ticket.id for ticket in work.tickets}
        return Toolbox(work.recorder, self._sandbox, work.meter, citable, equipment.gate)

    def _equipped(self, work: _Work) -> Equipment:
        """What it goes to work with; on record before it is used."""
        equipment = equip(
            self._store,
            self._briefing,
            self._instructions,
            self._brain.parameters(),
            work.meter.budget,
            self._gate,
            self._sandbox.mode,
        )
        work.recorder.note(EQUIPPED, equipment.payload())
        return equipment

    # ── while it lasts ─────────────────────────────────────────────────────────────────────────

    async def _work_on(self, client: AsyncAnthropic, work: _Work) -> Reported | Stopped:
        """The conversation, and what follows from the report it ended with."""
        equipment = self._equipped(work)
        toolbox = self._toolbox(work, equipment)
        conversation = Conversation(work.recorder, self._brain, work.meter, toolbox, equipment)
        try:
            async with self._lease_kept(work):
                return await conversation.run(client, self._store.redact(incident_text(work.tickets)))
        except ReportFiled as filed:
            work.report = filed.report
        work.recorder.tell(StepKind.REPORT, work.report.mechanism)
        self._hand_over(work, work.report)
        return Reported(work.report.outcome, await self._confirmed(work, work.report.outcome))

    @contextlib.asynccontextmanager
    async def _lease_kept(self, work: _Work) -> AsyncIterator[None]:
        """Renew the lease in the background; losing it, or failing to renew it, interrupts the work."""

        def ended(keeping: asyncio.Task[None]) -> None:
            if not keeping.cancelled() and (error := keeping.exception()) is not None:
                work.interrupt(error)

        keeping = asyncio.create_task(self._renew(work))
        keeping.add_done_callback(ended)
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])

    async def _renew(self, work: _Work) -> None:
        while True:
            await asyncio.sleep(self._board.policy.lease_s / 3)
            try:
                self._board.renew(work.incident, work.recorder.session)
            except LeaseLost as lost:
                raise NotOurs(str(lost)) from lost

    def _hand_over(self, work: _Work, report: Report) -> None:
        """What the report asks of the board. Raises NotOurs if the incident was taken away meanwhile."""
        deed = {
            Claim.RESOLVED: self._board.claim,
            Claim.ESCALATED: self._board.escalate,
            Claim.NO_ACTION_NEEDED: self._board.release,
        }[report.outcome]
        try:
            deed(work.incident, work.recorder.session, f"{self._brain.name}: {report.mechanism}")
        except LeaseLost as lost:
            raise NotOurs(str(lost)) from lost
        work.handed_back = True

    async def _confirmed(self, work: _Work, claim: Claim) -> bool:
        """The monitor's verdict: whether every ticket of the incident closes in time. No sooner refuted, it waits."""
        if claim is Claim.ESCALATED:
            return False
        mine = {ticket.id for ticket in work.tickets}
        started = self._store.clock.now()
        try:
            if claim is Claim.RESOLVED:
                tickets = await self._board.settled(work.incident, self._verify_s)
                if any(ticket.is_live and ticket.id in mine for ticket in tickets):
                    return False
            await self._board.closed(work.incident, self._verify_s - self._store.clock.now().since(started))
        except TimedOut:
            return False
        return True

    # ── the end ────────────────────────────────────────────────────────────────────────────────

    def _finish(self, work: _Work, ending: Ending) -> SessionResult:
        """Record the end and hand back what is still leased; then let out what is not ours to keep."""
        outcome, error, meter = outcome_of(ending), _error(ending), work.meter
        session = work.recorder.session
        with self._store.atomic():
            if not work.handed_back:
                with contextlib.suppress(LeaseLost):  # then there is nothing to hand back
                    self._board.release(work.incident, session, f"{self._brain.name}: {error or outcome.value}")
            self._store.end_session(
                session,
                outcome.value,
                work.report.model_dump(mode="json") if work.report else None,
                error,
                meter.turns,
                meter.input_tokens,
                meter.output_tokens,
                meter.cost_usd,
            )
        if not isinstance(ending, Exception) or isinstance(ending, APIError):  # a bug may be the follower's own
            work.recorder.tell(StepKind.OUTCOME, outcome.value)
        if isinstance(ending, BaseException) and not isinstance(ending, SessionEnd | SandboxGone | APIError):
            raise ending
        return SessionResult(session, outcome, work.report, meter.turns, meter.cost_usd, error)


def _error(ending: Ending) -> str | None:
    """Why it ended without doing what it was for; None if it reported."""
    if isinstance(ending, Reported):
        return None
    if isinstance(ending, Stopped):
        return f"the brain stopped ({ending.stop_reason}) without a report"
    return f"{type(ending).__name__}: {ending}"
