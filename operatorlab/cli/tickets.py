"""`operatorlab tickets`: what is wrong in the running labs, and a person's say in it.

A person can keep operators off a ticket and can claim that it is repaired. Nobody but the monitor can
resolve one, so `resolve` says who is watching and what happens next.
"""

from __future__ import annotations

import asyncio
import getpass
import json
from typing import TYPE_CHECKING

import click

from operatorlab.cli.shared import HELP, ListUnlessTold, as_json, print_table

if TYPE_CHECKING:
    from operatorlab.audit import AuditStore
    from operatorlab.monitor.board import Board
    from operatorlab.monitor.tickets import Ticket

_STATES = ["open", "investigating", "verifying", "escalated", "resolved", "self_healed"]
by_whom = click.option("--who", default=getpass.getuser, metavar="NAME", help="Who does this.  [default: your login]")
with_note = click.option("-m", "--note", default="", metavar="TEXT", help="Why; kept in the audit.")


@click.group(cls=ListUnlessTold, context_settings=HELP)
def tickets() -> None:
    """List, show, hold and resolve tickets.

    \b
    operatorlab tickets                        what is wrong now
    operatorlab tickets show 7QX2MA            one ticket and all that happened to it
    operatorlab tickets hold 7QX2MA            keep operators off it
    operatorlab tickets resolve 7QX2MA         claim that it is repaired; the monitor checks

    A ticket's id may be short: four or more of its first or last characters.
    """


@tickets.command("list")
@click.option("--run", "run", metavar="ID", help="Only the tickets of this run, closed ones too.")
@click.option("--all", "all_", is_flag=True, help="The tickets of every run, closed ones too.")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these; may be repeated.")
@click.option("-n", "count", default=50, show_default=True, metavar="N", help="At most so many; 0 for all.")
@as_json
def list_(run: str | None, *, all_: bool, states: tuple[str, ...], count: int, json_: bool) -> None:
    """List tickets, newest first: by default the live ones of runs that have not ended.

    \b
    operatorlab tickets list --state escalated
    operatorlab tickets list --run ratelimiter-k7p2mx --json
    """
    from operatorlab.monitor.ledger import find_tickets

    closed_too = bool(run or all_ or states)
    with _open(readonly=True) as store:
        found = find_tickets(store, run=run, ended_runs=closed_too, closed=closed_too, states=states, limit=count)
    if json_:
        click.echo(json.dumps([_plain(ticket) for ticket in found], indent=2))
    elif found:
        print_table([_row(ticket) for ticket in found])
    else:
        click.echo("No tickets." if closed_too else "No live tickets. Closed ones: operatorlab tickets list --all")


@tickets.command()
@click.argument("ticket")
@as_json
def show(ticket: str, *, json_: bool) -> None:
    """Show a ticket, its evidence, and all that happened to it.

    \b
    operatorlab tickets show 7QX2MA
    """
    from operatorlab.audit.story import harmless
    from operatorlab.monitor.console import as_text

    with _open(readonly=True) as store:
        board, whole = _find(store, ticket)
        one = board.ticket(whole)
        events = store.events(ticket=whole)
    if json_:
        told = [{"at": e.at.isoformat(), "kind": e.kind, "session": e.session, **e.payload} for e in events]
        click.echo(json.dumps({**_plain(one), "events": told}, indent=2))
        return
    for name, value in _facts(one).items():
        click.echo(f"{name:<12}{harmless(value)}")
    click.echo("\nWhat happened (UTC):")
    for event in events:
        click.echo(f"  {as_text(event)}")


@tickets.command()
@click.argument("ticket")
@by_whom
@with_note
@click.option("--release", is_flag=True, help="Let operators at it again.")
def hold(ticket: str, *, who: str, note: str, release: bool) -> None:
    """Keep operators off a ticket. A session that works on it loses its lease and stops.

    \b
    operatorlab tickets hold 7QX2MA -m "replacing the disk"
    operatorlab tickets hold 7QX2MA --release
    """
    with _open() as store:
        board, whole = _find(store, ticket)
        if release:
            one = board.unhold(whole)
            click.echo(f"{_named(one)} is held by nobody now.")
        else:
            one = board.hold(whole, who, note)
            click.echo(f"{_named(one)} is held by {one.held_by}: no operator will take it.")


@tickets.command()
@click.argument("ticket")
@by_whom
@with_note
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), metavar="S", help="Wait this long for the verdict.")
@click.pass_context
def resolve(ctx: click.Context, ticket: str, *, who: str, note: str, wait_s: float | None) -> None:
    """Claim that a ticket is repaired. Only the monitor resolves it, once it has seen the rule hold.

    With --wait the exit code is 0 if the monitor confirmed, 1 if it refuted the claim, 6 if there was no verdict.

    \b
    operatorlab tickets resolve 7QX2MA -m "restarted node-2" --wait 10
    """
    with _open() as store:
        board, whole = _find(store, ticket)
        one = board.resolve_by_hand(whole, who, note)
        click.echo(f"{_named(one)} is claimed as repaired. That is a claim: only the monitor resolves it.")
        click.echo(_what_comes_next(store, board))
        if wait_s is not None:
            ctx.exit(asyncio.run(_verdict(board, whole, wait_s)))


async def _verdict(board: Board, ticket: str, wait_s: float) -> int:
    from operatorlab.monitor.tickets import TicketState

    one = await board.verdict(ticket, wait_s)
    confirmed = one.state is TicketState.RESOLVED
    click.echo(
        "The monitor confirms: resolved." if confirmed else f"The monitor does not confirm: {_told(one.message)}"
    )
    return 0 if confirmed else 1


def _what_comes_next(store: AuditStore, board: Board) -> str:
    """Who will check the claim, or how to have it checked."""
    from operatorlab.monitor.watchers import watchers

    watching = watchers(store, board.run_id)
    if watching:
        pids = ", ".join(str(watcher.pid) for watcher in watching)
        return f"The monitor (process {pids}) resolves it when it has seen the rule hold for long enough."
    (row,) = store.rows("select subject from runs where id = :id", {"id": board.run_id})
    return (
        "No monitor watches this run, so nothing will confirm it until one does:\n"
        f"  python -m operatorlab.monitor --subject {row['subject']} --run {board.run_id}"
    )


def _open(*, readonly: bool = False) -> AuditStore:
    from operatorlab.audit import AuditStore

    return AuditStore(readonly=readonly)


def _find(store: AuditStore, short: str) -> tuple[Board, str]:
    from operatorlab.monitor.board import Board
    from operatorlab.monitor.ledger import run_of_ticket

    run, whole = run_of_ticket(store, short)
    return Board(store, run), whole


def _named(ticket: Ticket) -> str:
    from operatorlab.audit.story import short

    return f"Ticket {short(ticket.id)} ({_told(ticket.fingerprint)})"


def _told(text: object) -> str:
    from operatorlab.monitor.console import one_line

    return one_line(str(text))


def _row(ticket: Ticket) -> dict[str, str]:
    from operatorlab.audit.story import short

    row = {
        "id": short(ticket.id),
        "state": ticket.state.value,
        "opened (UTC)": f"{ticket.opened.at:%Y-%m-%d %H:%M:%S}",
        "run": ticket.run,
        "trouble": ticket.fingerprint,
        "message": ticket.message,
        "held by": ticket.held_by or "",
    }
    return {name: _told(value) for name, value in row.items()}


def _facts(ticket: Ticket) -> dict[str, str]:
    facts = {
        "ticket": ticket.id,
        "trouble": ticket.fingerprint,
        "state": ticket.state.value,
        "message": ticket.message,
        "severity": ticket.severity.value,
        "run": ticket.run,
        "incident": ticket.incident,
        "first seen": f"{ticket.violated.at:%Y-%m-%d %H:%M:%S} UTC",
        "opened": f"{ticket.opened.at:%Y-%m-%d %H:%M:%S} UTC",
        "closed": f"{ticket.closed.at:%Y-%m-%d %H:%M:%S} UTC" if ticket.closed else "",
        "session": ticket.lease.session if ticket.lease else "",
        "held by": ticket.held_by or "",
        "attempts": f"{ticket.attempts} failed" if ticket.attempts else "",
        "came back": f"{ticket.recurrences} times" if ticket.recurrences else "",
        "note": ticket.note,
        "evidence": json.dumps(dict(ticket.evidence)) if ticket.evidence else "",
    }
    return {name: value for name, value in facts.items() if value}


def _plain(ticket: Ticket) -> dict[str, object]:
    """A ticket as JSON-like data; instants as wall time."""
    return {
        "id": ticket.id,
        "run": ticket.run,
        "incident": ticket.incident,
        "invariant": ticket.invariant,
        "component": ticket.component,
        "severity": ticket.severity.value,
        "state": ticket.state.value,
        "message": ticket.message,
        "evidence": dict(ticket.evidence),
        "violated_at": ticket.violated.at.isoformat(),
        "opened_at": ticket.opened.at.isoformat(),
        "closed_at": ticket.closed.at.isoformat() if ticket.closed else None,
        "session": ticket.lease.session if ticket.lease else None,
        "held_by": ticket.held_by,
        "attempts": ticket.attempts,
        "recurrences": ticket.recurrences,
        "note": ticket.note,
    }
