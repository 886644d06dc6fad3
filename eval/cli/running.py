"""`operatorlab eval run | resume | baseline | plan`: what starts trials, or says what would be started."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from eval.asked import asked
from eval.campaign import expand
from eval.cli import drawing
from eval.cli.progress import Bar
from eval.executor import OnProgress
from eval.file import CampaignFile, find_campaign
from eval.run import ENOUGH, Executor, create, local
from eval.run import run as run_campaign
from eval.summary import by_variant
from operatorlab.cli.shared import HELP
from operatorlab.subject import DEPLOYMENTS

_jobs = click.option(
    "--jobs", type=click.IntRange(1, 64), metavar="N", help="Trials side by side, instead of as the campaign says."
)
_to = click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    help="The folder to write to [default: campaigns/<name>-… of the lab].",
)
_scheduler = click.option(
    "--scheduler", metavar="ADDRESS", help="Run on the Dask cluster at tcp://…, or on one of its own with `local`."
)


_Command = TypeVar("_Command", bound=Callable[..., None])


def _otherwise(command: _Command) -> _Command:
    """The options of what is run in another way than the campaign says."""
    options = (
        click.option(
            "--variant", "variants", multiple=True, metavar="NAME",
            help="An operator by its name in eval/variants/ or its file; repeatable [default: as the campaign says].",
        ),
        click.option("--repeats", type=click.IntRange(1, 10_000), metavar="N", help="How often each is tried."),
        click.option("--seed", type=int, metavar="N", help="The same seed gives the same trials on any machine."),
        click.option("--deployment", type=click.Choice(DEPLOYMENTS), help="Where the system runs."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command(context_settings=HELP)
@click.argument("campaign")
@_otherwise
@_jobs
@_scheduler
@_to
def run(campaign: str, *, jobs: int | None, scheduler: str | None, folder: Path | None, **otherwise: Any) -> None:
    """Run a campaign: every scenario with every variant, as often as it says. Or one scenario, by its name.

    \b
    operatorlab eval run smoke
    operatorlab eval run ./mine.yaml --jobs 4 --to /tmp/mine
    operatorlab eval run node_crash@node-2 --variant runbook --variant noop --repeats 5
    operatorlab eval run node_hang+redis_latency@node-3

    A scenario is a fault with or without its target, several joined by `+`, a composite, `all` faults one by one, or
    `nothing`; it is tried once, by the runbook.

    The whole campaign is checked before anything starts. Ctrl-C ends what runs and leaves a campaign that `resume`
    goes on with; so does anything worse.
    """
    with create(asked(campaign, **otherwise), folder) as file:
        go(file, jobs, scheduler)


@click.command(context_settings=HELP)
@click.argument("campaign", required=False)
@_jobs
@_scheduler
def resume(campaign: str | None, *, jobs: int | None, scheduler: str | None) -> None:
    """Go on with a campaign, by default the latest: run the trials that have no evidence yet.

    \b
    operatorlab eval resume
    operatorlab eval resume smoke-k7p2mx --jobs 1
    """
    with CampaignFile(find_campaign(campaign)) as file:
        if file.done == file.total:
            click.echo(f"{file.name} is done: all {file.total} trials have their evidence")
            return
        go(file, jobs, scheduler)


@click.command(context_settings=HELP)
@click.argument("campaign")
@_jobs
@_to
def baseline(campaign: str, *, jobs: int | None, folder: Path | None) -> None:
    """Run a campaign's scenarios with the baselines `noop` and `runbook`, in place of its variants.

    \b
    operatorlab eval baseline ratelimiter-core
    """
    wanted = asked(campaign)
    name = f"{wanted.name}-baseline"[:41]
    with create(wanted.model_copy(update={"name": name, "variants": ("noop", "runbook")}), folder) as file:
        go(file, jobs)


@click.command(context_settings=HELP)
@click.argument("campaign")
@_otherwise
def plan(campaign: str, **otherwise: Any) -> None:
    """Say what a campaign would run, how long that takes, and how small a difference it can show.

    \b
    operatorlab eval plan ratelimiter-core
    operatorlab eval plan node_crash --variant runbook --variant noop --repeats 40
    """
    from eval.plan import plan_of

    wanted = asked(campaign, **otherwise)
    for line in plan_of(wanted, expand(wanted)):
        drawing.say(line)


def go(
    file: CampaignFile,
    jobs: int | None,
    scheduler: str | None = None,
    here: Callable[[CampaignFile, int, OnProgress], Executor] = local,
) -> None:
    """Run what is open, draw how it goes, and say how it ended; with no scheduler, by the executor of `here`."""
    jobs = jobs or file.campaign.jobs
    with Bar(file.total, file.done) as bar:
        executor = here(file, jobs, bar.phase) if scheduler is None else _on_cluster(file, jobs, scheduler, bar)
        how = asyncio.run(_interruptible(file, executor, jobs, bar))
    drawing.sums(by_variant(file.scores()))
    click.echo(f"\n{how}: {bar.rate()}")
    click.echo(f"campaign  {file.path}\nread it   operatorlab eval analyze {file.name}")
    if how != "finished":
        click.echo(f"go on     operatorlab eval resume {file.name}")
        sys.exit(130 if how == "interrupted" else 0 if how.startswith(ENOUGH) else 1)


def _on_cluster(file: CampaignFile, jobs: int, scheduler: str, bar: Bar) -> Executor:
    from eval.cluster import Dask

    return Dask(scheduler, jobs, file.path.parent / "audits", bar.phase)


async def _interruptible(file: CampaignFile, executor: Executor, jobs: int, bar: Bar) -> str:
    """Run it; SIGINT and SIGTERM end it in order."""
    working = asyncio.current_task()
    assert working is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await run_campaign(file, executor, jobs, bar.trial)
    return "interrupted"
