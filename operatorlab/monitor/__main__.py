"""`python -m operatorlab.monitor`: watch a running lab from a process of its own.

SIGTERM and Ctrl-C are the ordinary ways to end it, so both end it with a goodbye and exit code 0, as
services do. SIGKILL loses nothing that was recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from operatorlab.audit import AuditStore
from operatorlab.deploy.kinds import attach
from operatorlab.errors import OperatorLabError
from operatorlab.monitor.attach import ensure_run, find_lab
from operatorlab.monitor.board import Board
from operatorlab.monitor.collecting import spare_the_collector
from operatorlab.monitor.console import Console, OneLook
from operatorlab.monitor.loop import Monitor, MonitorStopped
from operatorlab.monitor.metrics import served
from operatorlab.monitor.settings import Settings, parse_grace, read_settings
from operatorlab.monitor.watchers import watchers
from operatorlab.registry import find_subject

_INTERVAL_S = 0.5


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--subject", "subject_name", required=True, help="The subject's name, or the path of its folder.")
@click.option("--run", "run_id", metavar="ID", help="The lab to watch, if several of the subject run.")
@click.option("--interval", type=float, metavar="S", help="Seconds from one look to the next.  [default: 0.5]")
@click.option(
    "--grace",
    "graces",
    multiple=True,
    metavar="[RULE=]S",
    help="Seconds that trouble must last, for a rule or for all; may be repeated.",
)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings; flags count for more.")
@click.option("--once", is_flag=True, help="Look once: exit code 0 if all is well, 1 if anything is broken or hidden.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), metavar="N", help="Serve /metrics here; 0: a free port.")
@click.pass_context
def monitor(  # noqa: PLR0913  one parameter an option
    ctx: click.Context,
    subject_name: str,
    run_id: str | None,
    *,
    interval: float | None,
    graces: tuple[str, ...],
    config: Path | None,
    once: bool,
    as_json: bool,
    metrics_port: int | None,
) -> None:
    """Watch a running lab: check its invariants, open and close its tickets.

    \b
    python -m operatorlab.monitor --subject ratelimiter
    python -m operatorlab.monitor --subject ratelimiter --once --json
    python -m operatorlab.monitor --subject ratelimiter --grace node_down=0.5 --grace high_latency=3
    python -m operatorlab.monitor --subject ratelimiter --config monitor.yaml
    python -m operatorlab.monitor --subject ratelimiter --metrics-port 0

    SIGTERM and Ctrl-C end it with exit code 0.
    """
    settings = (read_settings(config) if config else Settings()).under(Settings(parse_grace(graces), interval))
    record = find_lab(find_subject(subject_name).name, run_id)
    deployment = attach(record.run_id)
    with ExitStack() as stack:
        store = stack.enter_context(AuditStore())
        ensure_run(store, record)
        board = Board(store, record.run_id)
        console = Console(store, record.run_id, click.echo, as_json=as_json)
        watching = Monitor(
            deployment.subject,
            deployment,
            store,
            board=board,
            interval_s=_INTERVAL_S if settings.interval_s is None else settings.interval_s,
            grace_s=settings.grace,
        )
        if once:
            ctx.exit(asyncio.run(_look_once(watching, as_json=as_json)))
        if others := watchers(store, record.run_id):
            pids = ", ".join(str(other.pid) for other in others)
            console.say(
                "also_watched", f"{record.run_id} is also watched by process {pids}", pids=[o.pid for o in others]
            )
        if metrics_port is not None:
            address = stack.enter_context(served(watching.metrics, metrics_port))
            console.say("metrics", f"metrics at {address}", address=address)
        asyncio.run(_watch(watching, console))


async def _look_once(watching: Monitor, *, as_json: bool) -> int:
    look = OneLook.at(await watching.cycle(), watching.board)
    await watching.close()
    click.echo(look.json() if as_json else look.text())
    return 0 if look.well else 1


async def _watch(watching: Monitor, console: Console) -> None:
    """Watch until a signal comes, telling each change."""
    spare_the_collector()
    run = watching.board.run_id
    task = asyncio.create_task(watching.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    live = len(watching.board.live())
    rules = len(watching.subject.invariants)
    console.say(
        "watching",
        f"watching {run}: {rules} rules every {watching.interval_s:g} s, {live} tickets live; Ctrl-C ends it",
        interval_s=watching.interval_s,
        live=live,
    )
    try:
        while True:
            await watching.next_cycle()
            console.tell_new()
    except MonitorStopped:
        pass
    except BaseException:
        task.cancel()
        raise
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    console.tell_new()
    cycles, live = watching.latest.number if watching.latest else 0, len(watching.board.live())
    console.say("stopped", f"stopped after {cycles} cycles; {live} tickets live", cycles=cycles, live=live)


def main() -> None:
    """Run the command: errors of the lab become plain text and their own exit codes."""
    try:
        # Without click's standalone mode `ctx.exit(n)` comes back as the return value.
        code = monitor.main(prog_name="python -m operatorlab.monitor", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except OperatorLabError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):  # before it watches, and so before it has anything to say
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (`… | head`); Python would complain once more at exit.
        sys.stderr.close()
        sys.exit(141)


if __name__ == "__main__":
    main()
