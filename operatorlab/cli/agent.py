"""`operatorlab agent`: an operator for a running lab."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import sys
from typing import TYPE_CHECKING

import click

from operatorlab.cli.shared import HELP

if TYPE_CHECKING:
    from operatorlab.agent import Budget, SessionResult
    from operatorlab.agent.brains import Brain
    from operatorlab.agent.printing import Printer
    from operatorlab.audit import AuditStore
    from operatorlab.monitor.tickets import Policy

_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.group(context_settings=HELP)
def agent() -> None:
    """Let an operator work on a lab's incidents.

    \b
    operatorlab agent run --brain runbook --once
    """


@agent.command("run")
@click.option("--run", "run_id", metavar="ID", help="The lab to work on. [default: the only one that runs]")
@click.option(
    "--brain", default="runbook", show_default=True, metavar="NAME", help="What thinks: runbook, claude or noop."
)
@click.option("--model", metavar="NAME", help="The model of the brain `claude`. [default: claude-opus-5-5]")
@click.option(
    "--effort",
    type=click.Choice(["low", "medium", "high", "xhigh", "max"]),
    help="How hard the brain `claude` thinks. [default: its model's own]",
)
@click.option("--base-url", metavar="URL", help="A server that speaks the Messages API. [default: Anthropic's]")
@click.option("--once", is_flag=True, help="Work on one incident, then end.")
@click.option("--wait", "wait_s", type=_POSITIVE, metavar="S", help="Give up if no incident comes for S seconds.")
@click.option("--max-turns", "turns", type=click.IntRange(min=1), metavar="N", help="Model calls a session.")
@click.option("--max-tokens", "tokens", type=click.IntRange(min=1), metavar="N", help="Tokens a session.")
@click.option(
    "--max-cost", "cost_usd", type=_POSITIVE, metavar="USD", help="Dollars a session, where prices are known."
)
@click.option("--max-time", "wall_s", type=_POSITIVE, metavar="S", help="Seconds a session.")
@click.option("--command-time", "command_s", type=_POSITIVE, metavar="S", help="Seconds a command.")
@click.option(
    "--show-chars",
    "shown_chars",
    type=click.IntRange(min=1),
    metavar="N",
    help="Characters shown of a command's output.",
)
@click.option(
    "--verify",
    "verify_s",
    type=_POSITIVE,
    default=60.0,
    show_default=True,
    metavar="S",
    help=("How long to wait for the monitor to confirm a claim."),
)
@click.option(
    "--gate",
    type=click.Choice(["none", "deny_destructive"]),
    default="none",
    show_default=True,
    help="What is not let through to the shell; it judges commands by their text and is no boundary.",
)
@click.option(
    "--mode",
    type=click.Choice(["operate", "observe"]),
    default="operate",
    show_default=True,
    help="What the boundary lets it do; `observe` is to look and touch nothing (compose only).",
)
@click.option(
    "--allow-bare-host",
    is_flag=True,
    help=("Let a real model run commands on this machine, as you and with no boundary."),
)
@click.option("--json", "json_", is_flag=True, help="Print one JSON object a line: steps, then the session.")
def run(  # noqa: PLR0913  one parameter an option
    *,
    run_id: str | None,
    brain: str,
    model: str | None,
    effort: str | None,
    base_url: str | None,
    once: bool,
    wait_s: float | None,
    verify_s: float,
    gate: str,
    mode: str,
    allow_bare_host: bool,
    json_: bool,
    **limits: float | None,
) -> None:
    """Wait for a lab's incidents and work through them.

    \b
    operatorlab agent run --brain runbook --once
    operatorlab agent run --brain claude --base-url http://localhost:11434 --model qwen3 --allow-bare-host
    operatorlab agent run --run ratelimiter-k7p2mx --max-turns 20 --max-cost 0.50

    A monitor must run for the lab: it opens the tickets, and only it resolves them. With --once the exit code is
    0 if the incident was resolved and the monitor confirmed it, else 1. Ctrl-C and SIGTERM end a command under
    way, record how the session ended and hand the incident back.
    """
    from operatorlab.agent import Budget
    from operatorlab.agent.printing import Printer
    from operatorlab.audit import AuditStore

    budget = Budget(**{name: value for name, value in limits.items() if value is not None})  # type: ignore[arg-type]
    with AuditStore() as store:
        printer = Printer(json_lines=json_)
        work = _Work(store, run_id, printer, budget, verify_s, gate=gate, mode=mode, allow_bare_host=allow_bare_host)
        last = asyncio.run(work.go(work.brain(brain, model, base_url, effort), once=once, wait_s=wait_s))
    if once and (last is None or last.outcome != "resolved_verified"):
        sys.exit(1)


class _Work:
    """One call of `agent run`."""

    def __init__(
        self,
        store: AuditStore,
        run_id: str | None,
        printer: Printer,
        budget: Budget,
        verify_s: float,
        *,
        gate: str,
        mode: str,
        allow_bare_host: bool,
    ) -> None:
        from operatorlab.agent import Gate
        from operatorlab.deploy.kinds import attach
        from operatorlab.deploy.labs import the_lab
        from operatorlab.sandbox import Mode

        self.store = store
        self.deployment = attach(the_lab(run_id).run_id)
        self.printer = printer
        self.budget = budget
        self.verify_s = verify_s
        self.gate = Gate(gate)
        self.mode = Mode(mode)
        self.allow_bare_host = allow_bare_host

    def brain(self, name: str, model: str | None, base_url: str | None, effort: str | None) -> Brain:
        from operatorlab.agent.brains import make_brain

        return make_brain(name, subject=self.deployment.subject, model=model, base_url=base_url, effort=effort)

    async def go(self, brain: Brain, *, once: bool, wait_s: float | None) -> SessionResult | None:
        """Work until done or told to stop; the last session's result."""
        import psutil

        from operatorlab.agent import Operator
        from operatorlab.agent.duty import Duty
        from operatorlab.monitor.board import Board

        deployment = self.deployment
        await brain.client().close()  # a missing key is said now, not when something breaks
        self.store.close_dead_sessions(psutil.pid_exists)
        board = Board(self.store, deployment.run_id, policy_of(self.store, deployment.run_id))
        async with deployment.sandbox(self.store.path, self.mode) as sandbox:
            operator = Operator(
                self.store,
                board,
                sandbox,
                brain,
                briefing=deployment.subject.briefing(deployment),
                budget=self.budget,
                gate=self.gate,
                verify_s=self.verify_s,
                allow_bare_host=self.allow_bare_host,
                on_step=self.printer.step,
            )
            self.printer.hello(f"{brain.label} is on duty for {deployment.run_id}")
            duty = Duty(board, operator)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, duty.stop)
            last = None
            while (result := await duty.next(wait_s)) is not None:
                last = result
                self.printer.result(result)
                if once:
                    break
            return last


def policy_of(store: AuditStore, run_id: str) -> Policy:
    """The policy the run was begun with: whoever started it recorded it in the run's options."""
    from operatorlab.monitor.tickets import Policy

    known = {field.name for field in dataclasses.fields(Policy)}
    rows = store.rows("select options from runs where id = :id", {"id": run_id})
    options = json.loads(str(rows[0]["options"])) if rows else {}
    return Policy(**{name: value for name, value in options.items() if name in known})
