"""`operatorlab faults list | inject | heal`: break a running lab on purpose, and undo it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from operatorlab.errors import BadParameter, TimedOut, UnknownName

if TYPE_CHECKING:
    from operatorlab.audit import AuditStore
    from operatorlab.deploy.processes import ProcessDeployment
    from operatorlab.subject import Subject

_HELP = {"help_option_names": ["-h", "--help"]}
run_option = click.option("--run", metavar="RUN", help="The lab's run id; not needed while only one lab runs.")


@dataclass(frozen=True, slots=True)
class Offered:
    """One fault as `list` shows it."""

    name: str
    kind: str
    targets: tuple[str, ...]
    expected: tuple[str, ...]
    summary: str


@click.group(context_settings=_HELP)
def faults() -> None:
    """List, inject and heal faults.

    \b
    operatorlab faults list ratelimiter
    operatorlab faults inject node_crash --target node-2
    operatorlab faults heal --all
    """


@faults.command("list", context_settings=_HELP)
@click.argument("subject", required=False)
@run_option
@click.option("--json", "json_", is_flag=True, help="Print JSON, for programs.")
def list_(subject: str | None, run: str | None, json_: bool) -> None:
    """List what can be broken in a subject, or in a running lab.

    \b
    operatorlab faults list ratelimiter
    operatorlab faults list --run ratelimiter-k7p2mx --json
    """
    found = _subject(subject, run)
    offered = [Offered(one.name, one.kind.value, one.targets(found), one.expected, one.summary) for one in found.faults]
    if json_:
        click.echo(json.dumps([asdict(one) for one in offered]))
    else:
        _draw(offered)


@faults.command(context_settings=_HELP)
@click.argument("name")
@click.option("--target", metavar="TARGET", help="What to aim at; the fault's first target if left out.")
@run_option
def inject(name: str, target: str | None, run: str | None) -> None:
    """Break a running lab on purpose.

    \b
    operatorlab faults inject node_crash
    operatorlab faults inject node_hang --target node-3 --run ratelimiter-k7p2mx
    """
    from operatorlab.audit import AuditStore

    deployment = _attach(run)
    with AuditStore() as store:
        fault_id, aimed_at = asyncio.run(_inject(store, deployment, name, target))
    click.echo(f"{name} is in force on {aimed_at} of {deployment.run_id}")
    click.echo(f"undo it: operatorlab faults heal {fault_id}")


@faults.command(context_settings=_HELP)
@click.argument("fault_id", metavar="[ID]", required=False)
@click.option("--all", "all_", is_flag=True, help="Every fault of the lab that is not healed yet.")
@run_option
def heal(fault_id: str | None, all_: bool, run: str | None) -> None:
    """Undo a fault: the one of that id, or the only one there is.

    \b
    operatorlab faults heal
    operatorlab faults heal 01K9ZQ
    operatorlab faults heal --all
    """
    from operatorlab.audit import AuditStore

    deployment = _attach(run)
    with AuditStore() as store:
        rows = _chosen(_unhealed(store, deployment.run_id), fault_id, all_=all_)
        asyncio.run(_heal(store, deployment, rows))
    if not rows:
        click.echo(f"nothing to heal in {deployment.run_id}")


async def _inject(store: AuditStore, deployment: ProcessDeployment, name: str, target: str | None) -> tuple[str, str]:
    """Break it. The record is made first: what was injected can be healed, whatever happens meanwhile."""
    from operatorlab.lab import find_fault
    from operatorlab.monitor.attach import ensure_run
    from operatorlab.validate import ValidFault

    fault = ValidFault(find_fault(deployment.subject, name, target))
    ensure_run(store, deployment.record)
    fault_id = store.begin_fault(deployment.run_id, fault.name, fault.target, asdict(fault.truth()))
    store.set_fault_memo(fault_id, await fault.inject(deployment))
    return fault_id, fault.target


async def _heal(store: AuditStore, deployment: ProcessDeployment, rows: list[dict[str, Any]]) -> None:
    from operatorlab.lab import find_fault
    from operatorlab.validate import ValidFault

    for row in rows:
        fault = ValidFault(find_fault(deployment.subject, row["name"], row["target"]))
        memo = json.loads(row["memo"] or "{}")
        await fault.heal(deployment, memo)
        if await fault.active(deployment, memo):
            raise TimedOut(f"{fault.name} on {fault.target} is still in force after it was healed")
        store.end_fault(row["id"])
        click.echo(f"{fault.name} on {fault.target} is healed")


def _unhealed(store: AuditStore, run_id: str) -> list[dict[str, Any]]:
    """The faults that were injected and not healed, latest first, for what came last has to be undone first."""
    return store.rows(
        "select id, name, target, memo from faults where run = :run and healed_at is null order by injected_mono desc",
        {"run": run_id},
    )


def _chosen(rows: list[dict[str, Any]], fault_id: str | None, *, all_: bool) -> list[dict[str, Any]]:
    if all_:
        return rows
    if fault_id is None and len(rows) > 1:
        known = ", ".join(f"{row['id']} ({row['name']} on {row['target']})" for row in rows)
        raise BadParameter(f"which fault? there is {known}", next_step="operatorlab faults heal --all")
    if fault_id is None:
        return rows
    found = [row for row in rows if row["id"].startswith(fault_id.upper())]
    if len(found) != 1:
        raise UnknownName("unhealed fault", fault_id, [row["id"] for row in rows])
    return found


def _subject(subject: str | None, run: str | None) -> Subject:
    from operatorlab.registry import find_subject

    if subject and run:
        raise BadParameter("give a subject or --run, not both")
    return find_subject(subject) if subject else _attach(run).subject


def _attach(run: str | None) -> ProcessDeployment:
    from operatorlab.deploy.labs import the_lab
    from operatorlab.deploy.processes import ProcessDeployment

    return ProcessDeployment.attach(the_lab(run).run_id)


def _draw(offered: list[Offered]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    for name in ("fault", "kind", "opens"):
        table.add_column(name, no_wrap=True)
    table.add_column("targets", overflow="fold")
    for one in offered:
        table.add_row(*(escape(x) for x in (one.name, one.kind, "\n".join(one.expected), "\n".join(one.targets))))
    Console().print(table)
    for one in offered:
        Console().print(f"  [bold]{escape(one.name)}[/bold]: {escape(one.summary)}", soft_wrap=True)
