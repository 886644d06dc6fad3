"""`operatorlab faults list | inject | heal`: break a running lab on purpose, and undo it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from operatorlab.cli.shared import HELP
from operatorlab.errors import BadParameter, UnknownName

if TYPE_CHECKING:
    from operatorlab.deploy.base import LabDeployment
    from operatorlab.injection import Injected, Injections
    from operatorlab.subject import Fault, Subject

run_option = click.option("--run", metavar="RUN", help="The lab's run id; not needed while only one lab runs.")


@dataclass(frozen=True, slots=True)
class Offered:
    """One fault as `list` shows it."""

    name: str
    kind: str
    deployments: tuple[str, ...]
    targets: tuple[str, ...]
    expected: tuple[str, ...]
    summary: str


@click.group(context_settings=HELP)
def faults() -> None:
    """List, inject and heal faults.

    \b
    operatorlab faults list ratelimiter
    operatorlab faults inject node_crash --target node-2
    operatorlab faults heal --all
    """


@faults.command("list", context_settings=HELP)
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
    offered = [_offered(one, found) for one in found.faults]
    if json_:
        click.echo(json.dumps([asdict(one) for one in offered]))
    else:
        _draw(offered)


@faults.command(context_settings=HELP)
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
    from operatorlab.injection import Injections
    from operatorlab.monitor.attach import ensure_run

    deployment = _attach(run)
    with AuditStore() as store:
        ensure_run(store, deployment.record)
        injected = asyncio.run(Injections(store, deployment).inject(name, target))
    click.echo(f"{name} is in force on {injected.target} of {deployment.run_id}")
    click.echo(f"undo it: operatorlab faults heal {injected.id}")


@faults.command(context_settings=HELP)
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
    from operatorlab.injection import Injections

    deployment = _attach(run)
    with AuditStore() as store:
        injections = Injections(store, deployment)
        chosen = _chosen(injections.unhealed(), fault_id, all_=all_)
        asyncio.run(_heal(injections, chosen))
    if not chosen:
        click.echo(f"nothing to heal in {deployment.run_id}")


async def _heal(injections: Injections, chosen: list[Injected]) -> None:
    for one in chosen:
        await injections.heal(one)
        click.echo(f"{one.name} on {one.target} is healed")


def _chosen(unhealed: list[Injected], fault_id: str | None, *, all_: bool) -> list[Injected]:
    if all_ or (fault_id is None and len(unhealed) <= 1):
        return unhealed
    if fault_id is None:
        known = ", ".join(f"{one.id} ({one.name} on {one.target})" for one in unhealed)
        raise BadParameter(f"which fault? there is {known}", next_step="operatorlab faults heal --all")
    found = [one for one in unhealed if one.id.startswith(fault_id.upper())]
    if len(found) != 1:
        raise UnknownName("unhealed fault", fault_id, [one.id for one in unhealed])
    return found


def _subject(subject: str | None, run: str | None) -> Subject:
    from operatorlab.registry import find_subject

    if subject and run:
        raise BadParameter("give a subject or --run, not both")
    return find_subject(subject) if subject else _attach(run).subject


def _offered(fault: type[Fault], subject: Subject) -> Offered:
    kind, targets = fault.kind.value, fault.targets(subject)
    return Offered(fault.name, kind, fault.deployments, targets, fault.expected, fault.summary)


def _attach(run: str | None) -> LabDeployment:
    from operatorlab.deploy.kinds import attach
    from operatorlab.deploy.labs import the_lab

    return attach(the_lab(run).run_id)


def _draw(offered: list[Offered]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    for name in ("fault", "kind", "on", "opens"):
        table.add_column(name, no_wrap=True)
    table.add_column("targets", overflow="fold")
    for one in offered:
        many = ("\n".join(column) for column in (one.deployments, one.expected, one.targets))
        table.add_row(*(escape(cell) for cell in (one.name, one.kind, *many)))
    Console().print(table)
    for one in offered:
        Console().print(f"  [bold]{escape(one.name)}[/bold]: {escape(one.summary)}", soft_wrap=True)
