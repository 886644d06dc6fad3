"""`operatorlab faults list | inject | heal | runbook`: break a running lab on purpose, and undo it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from operatorlab.cli.shared import HELP, subject_or_lab
from operatorlab.errors import BadParameter, UnknownName
from operatorlab.running import DEPLOYMENTS, PROCESSES

if TYPE_CHECKING:
    from operatorlab.deploy.base import LabDeployment
    from operatorlab.injection import Injected, Injections
    from operatorlab.subject import Composite, Fault, Subject

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
@click.option("--markdown", is_flag=True, help="Print the page docs/faults.md begins with.")
def list_(subject: str | None, run: str | None, json_: bool, markdown: bool) -> None:
    """List what can be broken in a subject, or in a running lab: single faults, then those that are made of them.

    \b
    operatorlab faults list ratelimiter
    operatorlab faults list --run ratelimiter-k7p2mx --json
    """
    found = subject_or_lab(subject, run)
    if markdown:
        from operatorlab.catalogue import catalogue

        click.echo(catalogue(found), nl=False)
        return
    offered = [*(_offered(one, found) for one in found.faults), *map(_offered_together, found.composites)]
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
    operatorlab faults inject two_nodes_at_once
    """
    from operatorlab.audit import AuditStore
    from operatorlab.injection import Injections
    from operatorlab.monitor.attach import ensure_run

    deployment = _attach(run)
    with AuditStore() as store:
        ensure_run(store, deployment.record)
        injected = asyncio.run(Injections(store, deployment).inject(name, target))
    for part in injected.parts or (injected,):
        click.echo(f"{part.name} was injected on {part.target} of {deployment.run_id}")
    click.echo(f"undo it: operatorlab faults heal {injected.id or '--all'}")


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


@faults.command(context_settings=HELP)
@click.argument("subject", default="ratelimiter")
@click.option(
    "--deployment", type=click.Choice(DEPLOYMENTS), default=PROCESSES, show_default=True, help="Where to try."
)
@click.option("--fault", "names", multiple=True, metavar="NAME", help="Only this one; may be given several times.")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object a line.")
def runbook(subject: str, deployment: str, names: tuple[str, ...], json_: bool) -> None:
    """Let the runbook operator work on each single fault, and print how each ended.

    Each is tried in a lab of its own, some twenty seconds each. `repaired` is the monitor's word; `escalated` handed it
    to a person; `harmed` left something broken that the fault had not.

    \b
    operatorlab faults runbook ratelimiter
    operatorlab faults runbook ratelimiter --fault node_crash --fault redis_flush --json
    """
    asyncio.run(_try_all(subject, deployment, names, json_=json_))


async def _try_all(subject: str, deployment: str, names: tuple[str, ...], *, json_: bool) -> None:
    from operatorlab.tryout import try_faults

    counts: Counter[str] = Counter()
    async for tried in try_faults(subject, deployment=deployment, names=names):
        counts[tried.result] += 1
        blamed = "blames right" if tried.right else "blames wrong"
        line = f"{tried.fault:<22} {tried.result:<10} {tried.outcome:<20} {blamed:<13} {tried.took_s:5.1f} s"
        click.echo(json.dumps(asdict(tried)) if json_ else line)
    if not json_:
        told = ", ".join(f"{count} {result}" for result, count in counts.items())
        click.echo(f"{counts.total()} faults of {subject} on {deployment}: {told}")


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


def _offered(fault: type[Fault], subject: Subject) -> Offered:
    kind, targets = fault.kind.value, fault.targets(subject)
    return Offered(fault.name, kind, fault.deployments, targets, fault.expected, fault.summary)


def _offered_together(composite: Composite) -> Offered:
    from operatorlab.composites import deployments, lasting

    targets = tuple(f"{part.fault.name} on {part.target}" for part in composite.parts)
    opens = tuple(sorted({sign for part in lasting(composite) for sign in part.fault(part.target).signs()}))
    kind = "control" if composite.harmless else "composite"
    return Offered(composite.name, kind, deployments(composite), targets, opens, composite.summary)


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
