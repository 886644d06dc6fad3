"""`operatorlab load`: clients for a running lab, in the foreground, with what they see kept in the audit."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import click

from operatorlab.cli.shared import HELP
from operatorlab.errors import BadParameter, UnknownName

if TYPE_CHECKING:
    from operatorlab.clients import Clients
    from operatorlab.deploy.base import LabDeployment

_TELL_S = 1.0


@click.command(context_settings=HELP)
@click.argument("profile", required=False)
@click.option("--run", "run_id", metavar="ID", help="The lab to load. [default: the only one that runs]")
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed gives the same requests.")
@click.option(
    "--duration", "duration_s", type=click.FloatRange(min=0, min_open=True), metavar="S", help="End after S s."
)
def load(profile: str | None, run_id: str | None, seed: int, duration_s: float | None) -> None:
    """Put a client load on a running lab, until Ctrl-C.

    PROFILE is one of the subject's load profiles; without it, the first. What the clients see is printed once a
    second and kept in the audit (`client_samples`).

    \b
    operatorlab load steady
    operatorlab load full --duration 60
    """
    from operatorlab.deploy.kinds import attach
    from operatorlab.deploy.labs import the_lab

    deployment = attach(the_lab(run_id).run_id)
    asyncio.run(_load(deployment, _profile(deployment, profile), seed, duration_s))


def _profile(deployment: LabDeployment, name: str | None) -> str:
    known = deployment.subject.loads
    if not known:
        raise BadParameter(f"the subject {deployment.subject.name} brings no client load")
    if name is not None and name not in known:
        raise UnknownName("load", name, known)
    return name or known[0]


async def _load(deployment: LabDeployment, profile: str, seed: int, duration_s: float | None) -> None:
    from operatorlab.audit import AuditStore
    from operatorlab.clients import Clients

    record = deployment.folder / "clients.jsonl"
    record.unlink(missing_ok=True)
    argv = deployment.subject.workload(deployment, profile, seed, record)
    clients = Clients(argv, record, deployment.environment())
    click.echo(f"loading {deployment.run_id} with {profile!r}, seed {seed}; Ctrl-C ends it")
    asked_to_end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    with AuditStore() as store:
        await clients.start()
        work = [clients.follow(store, deployment.run_id), _tell(clients), asked_to_end.wait()]
        tasks = [asyncio.ensure_future(one) for one in work]
        try:
            done, _ = await asyncio.wait(tasks, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a load that died is told
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await clients.stop()
    click.echo("ended")


async def _tell(clients: Clients) -> None:
    while True:
        await asyncio.sleep(_TELL_S)
        if (seen := clients.latest) is not None:
            slowest = "-" if seen.p99_s is None else f"{seen.p99_s * 1000:.0f} ms"
            rate = seen.sent / seen.span_s
            click.echo(
                f"{seen.at:%H:%M:%S}  {rate:4.0f}/s  allowed {seen.allowed}  denied {seen.denied}  "
                f"errors {seen.errors}  p99 {slowest}"
            )
