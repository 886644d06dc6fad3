"""`operatorlab up | status | down | cleanup`: the labs of this machine."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from operatorlab.cli.shared import HELP, as_json
from operatorlab.errors import AuditError, OperatorLabError, UnknownName
from operatorlab.subject import DEPLOYMENTS, PROCESSES

if TYPE_CHECKING:
    from operatorlab.deploy.base import LabDeployment
    from operatorlab.deploy.records import LabRecord
    from operatorlab.subject import Subject

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Standing:
    """One lab as `status` shows it. `members` maps each to its state, `addresses` to host and port."""

    run_id: str
    subject: str
    deployment: str
    state: str
    kept: bool
    owner_alive: bool
    running: bool
    created_at: str
    folder: str
    members: dict[str, str]
    addresses: dict[str, str]
    trouble: str


class Age(click.ParamType[timedelta]):
    """A length of time such as 90s, 30m, 2h or 7d."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d+)([smhd])", str(value))
        if not found:
            self.fail(f"{value!r} is not a length of time; write 90s, 30m, 2h or 7d", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


class Port(click.ParamType[tuple[str, int]]):
    """A port for a name: `node-1=8001`."""

    name = "name=port"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        name, _, number = str(value).partition("=")
        if not name or not number.isdigit():
            self.fail(f"{value!r} is not a name and a port; write node-1=8001", param, ctx)
        return name, int(number)


@click.command(context_settings=HELP)
@click.argument("subject")
@click.option(
    "--port", "ports", type=Port(), multiple=True, metavar="NAME=PORT", help="Use this port; may be repeated."
)
@click.option(
    "--deployment",
    type=click.Choice(DEPLOYMENTS),
    default=PROCESSES,
    show_default=True,
    help="Run it as processes of this machine, or as containers by Docker Compose.",
)
@as_json
def up(subject: str, ports: tuple[tuple[str, int], ...], deployment: str, json_: bool) -> None:
    """Bring a subject up and leave it running.

    SUBJECT is the name of an installed subject, or the path of a folder with a subject.py in it.

    \b
    operatorlab up ratelimiter
    operatorlab up ratelimiter --deployment compose
    operatorlab up ./mine --port node-1=8001
    """
    from operatorlab.registry import find_subject

    found = find_subject(subject)
    lab = asyncio.run(_bring_up(found, deployment, dict(ports), quiet=json_))
    if json_:
        click.echo(json.dumps(asdict(asyncio.run(_standing(lab.record)))))
        return
    click.echo(f"\n{found.title} is up as {lab.run_id}.")
    for member in found.members:
        click.echo("  {:<12} {}:{}".format(member.name, *lab.address(member.name)))
    for name, address in lab.pages().items():
        click.echo(f"  {name:<12} {address}")
    click.echo(f"  logs: {lab.logs}\n")
    click.echo("next:")
    for command, why in (
        ("operatorlab status", "how its members stand"),
        (f"python -m operatorlab.monitor --subject {subject}", "watch it"),
        ("operatorlab faults list --run " + lab.run_id, "what can be broken"),
        ("operatorlab down " + lab.run_id, "end it"),
    ):
        click.echo(f"  {command:<52} {why}")


@click.command(context_settings=HELP)
@as_json
def status(json_: bool) -> None:
    """Show the labs of this machine and how their members stand.

    \b
    operatorlab status
    operatorlab status --json
    """
    from operatorlab.deploy.labs import labs

    async def look() -> list[Standing]:
        return list(await asyncio.gather(*(_standing(record) for record in labs())))

    found = asyncio.run(look())
    if json_:
        click.echo(json.dumps([asdict(standing) for standing in found]))
    elif not found:
        click.echo("no lab runs; start one: operatorlab up ratelimiter")
    else:
        _draw(found)


@click.command(context_settings=HELP)
@click.argument("run", required=False)
def down(run: str | None) -> None:
    """End a lab and remove what it left, but for its logs.

    RUN is the lab's run id or its beginning; it may be left out while only one lab runs.

    \b
    operatorlab down
    operatorlab down ratelimiter-k7p2mx
    """
    from operatorlab.deploy.labs import take_down, the_lab

    record = asyncio.run(take_down(the_lab(run)))
    kept = f"; its logs are in {logs}" if (logs := record.root / "log").is_dir() else ""
    click.echo(f"{record.run_id} is down{kept}")
    _note_end(record, "taken down")


@click.command(context_settings=HELP)
@click.option("--older-than", type=Age(), help="Only labs made so long ago, such as 2h; also logs of ended ones.")
@click.option("--all", "all_", is_flag=True, help="Also end labs that `operatorlab up` left running.")
def cleanup(older_than: timedelta | None, all_: bool) -> None:
    """Remove what dead labs left behind.

    A lab is dead when the process that started it is gone and it was not left running on purpose.

    \b
    operatorlab cleanup
    operatorlab cleanup --older-than 2h --all
    """
    from operatorlab.deploy.labs import cleanup as clean

    age = older_than or timedelta(0)
    skipped: list[str] = []
    removed = asyncio.run(
        clean(include_kept=all_, ended=older_than is not None, older_than=age, progress=skipped.append)
    )
    for line in skipped:
        click.echo(line, err=True)
    for record in removed:
        click.echo(f"removed {record.run_id} ({record.subject})")
        _note_end(record, "cleaned up")
    if not removed and not skipped:
        click.echo("nothing to remove")


async def _bring_up(subject: Subject, kind: str, ports: dict[str, int], *, quiet: bool) -> LabDeployment:
    from operatorlab import home
    from operatorlab.audit import AuditStore
    from operatorlab.deploy.kinds import bring_up
    from operatorlab.deploy.records import owner

    run_id = home.new_run_id(subject.name)
    pid, started = owner()
    with AuditStore() as store:
        folder = str(home.runs() / run_id)
        store.begin_run(run_id, subject.name, kind, folder, owner_pid=pid, owner_started=started)
        try:
            return await bring_up(
                kind,
                subject,
                run_id=run_id,
                ports=ports,
                keep=True,
                progress=lambda line: None if quiet else click.echo(line),
            )
        except BaseException as trouble:
            store.end_run(run_id, f"did not come up: {type(trouble).__name__}")
            raise


async def _standing(record: LabRecord) -> Standing:
    from operatorlab.deploy.kinds import attach

    members: dict[str, str] = {}
    addresses: dict[str, str] = {}
    trouble = ""
    try:
        deployment = attach(record.run_id)
        for member in deployment.subject.members:
            members[member.name] = (await deployment.state(member.name)).value
            addresses[member.name] = "{}:{}".format(*deployment.address(member.name))
    except OperatorLabError as error:  # one lab in trouble must not hide the others
        trouble = error.what
    return Standing(
        run_id=record.run_id,
        subject=record.subject,
        deployment=record.deployment,
        state=record.state.value,
        kept=record.keep,
        owner_alive=record.owner_alive,
        running=record.running,
        created_at=record.created_at.isoformat(),
        folder=str(record.folder),
        members=members,
        addresses=addresses,
        trouble=trouble,
    )


def _draw(found: list[Standing]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for lab in found:
        owner = "left running" if lab.kept else "its owner lives" if lab.owner_alive else "its owner is dead"
        since = lab.created_at[:19].replace("T", " ")
        what = f"{escape(lab.subject)} as {lab.deployment}"
        console.print(f"[bold]{escape(lab.run_id)}[/bold]  {what}, {lab.state} since {since} UTC, {owner}")
        table = Table(show_header=False, box=None, padding=(0, 2))
        for name, state in lab.members.items():
            table.add_row(escape(name), state, lab.addresses[name])
        console.print(table if lab.members else f"  {escape(lab.trouble)}")


def _note_end(record: LabRecord, how: str) -> None:
    """Record the end of a run, after the fact: a lab can always be ended, even where nothing can be recorded."""
    from operatorlab.audit import AuditStore

    try:
        with AuditStore() as store:
            store.end_run(record.run_id, how)
    except UnknownName:  # brought up with another audit file, or with none
        return
    except AuditError as trouble:
        click.echo(f"Warning: the end of {record.run_id} was not recorded: {trouble}", err=True)
