"""`operatorlab monitor`: what can be said of the monitor itself. It runs as `python -m operatorlab.monitor`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from operatorlab.cli.shared import HELP, as_json, print_table
from operatorlab.running import DEPLOYMENTS, PROCESSES

if TYPE_CHECKING:
    from operatorlab.lab import Lab
    from operatorlab.soak import SoakReport


@click.group(context_settings=HELP)
def monitor() -> None:
    """Try the monitor on a lab in which nothing is wrong.

    \b
    operatorlab monitor soak --minutes 10

    To watch a running lab: python -m operatorlab.monitor --subject ratelimiter
    """


@monitor.command(context_settings=HELP)
@click.argument("subject", default="ratelimiter")
@click.option("--minutes", type=click.FloatRange(min=0), metavar="N", help="Go on for so long.  [default: 5]")
@click.option("--windows", type=click.IntRange(min=0), metavar="N", help="Go on until so many windows were judged.")
@click.option(
    "--deployment", type=click.Choice(DEPLOYMENTS), default=PROCESSES, show_default=True, help="How the lab comes up."
)
@click.option("--grace", "graces", multiple=True, metavar="[RULE=]S", help="As a monitor is given it; may be repeated.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The monitor's settings.")
@as_json
@click.pass_context
def soak(
    ctx: click.Context,
    subject: str,
    minutes: float | None,
    windows: int | None,
    deployment: str,
    graces: tuple[str, ...],
    config: Path | None,
    *,
    json_: bool,
) -> None:
    """Bring a lab up, live through everything that is benign, and count the tickets: each one is false.

    Every kind of load, a rolling restart, brief pauses within the grace, alarming words in the logs. A window is one
    look of the monitor, judged by every rule. Exit code 1 if there was a false ticket.

    \b
    operatorlab monitor soak --minutes 10
    operatorlab monitor soak --windows 1000 --json
    operatorlab monitor soak --grace node_down=2 --deployment compose
    """
    from operatorlab.lab import Lab
    from operatorlab.monitor.settings import Settings, parse_grace, read_settings

    settings = (read_settings(config) if config else Settings()).under(Settings(parse_grace(graces)))
    lab = Lab(
        subject,
        deployment=deployment,
        load="none",
        interval_s=0.5 if settings.interval_s is None else settings.interval_s,
        grace_s=settings.grace,
    )
    if minutes is None:
        minutes = 0.0 if windows else 5.0
    report = asyncio.run(_soak(lab, minutes, windows or 0, quiet=json_))
    if json_:
        click.echo(json.dumps(report.json(), indent=2))
    else:
        print_table([phase.row() for phase in report.phases])
        click.echo("\n".join(report.lines()))
    ctx.exit(0 if report.ok else 1)


async def _soak(lab: Lab, minutes: float, windows: int, *, quiet: bool) -> SoakReport:
    from operatorlab.soak import soak

    return await soak(lab, minutes=minutes, windows=windows, tell=lambda line: None if quiet else click.echo(line))
