"""The kinds of deployment, by name: bring a lab up, find a running one, end one."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.deploy.base import LabDeployment, Progress, quietly
from operatorlab.deploy.records import LabRecord, read_record
from operatorlab.errors import UnknownName
from operatorlab.subject import COMPOSE, DEPLOYMENTS, Subject

# A kind is imported when it is used: each needs libraries that the other does not.


async def bring_up(
    kind: str,
    subject: Subject,
    *,
    run_id: str | None = None,
    ports: Mapping[str, int] | None = None,
    keep: bool = False,
    boundary: str | None = None,
    progress: Progress = quietly,
) -> LabDeployment:
    """Bring `subject` up; see `ProcessDeployment.up` and `ComposeDeployment.up`. UnknownName for another kind."""
    if kind not in DEPLOYMENTS:
        raise UnknownName("deployment", kind, DEPLOYMENTS)
    if kind == COMPOSE:
        from operatorlab.deploy.compose import ComposeDeployment

        return await ComposeDeployment.up(subject, run_id=run_id, ports=ports, keep=keep, progress=progress)
    from operatorlab.deploy.processes import ProcessDeployment

    return await ProcessDeployment.up(
        subject, run_id=run_id, ports=ports, keep=keep, boundary=boundary, progress=progress
    )


async def possible(kind: str, subject: Subject) -> None:
    """DockerTrouble now, and not when the first lab comes up, if this machine has not what `kind` needs."""
    if kind == COMPOSE:
        from operatorlab.deploy.compose.bringing import daemon_for
        from operatorlab.deploy.compose.stack import read_stack

        await daemon_for(read_stack(subject))


def attach(run_id: str) -> LabDeployment:
    """The lab `run_id`, from any process. UnknownName if there is none, BadParameter if it was taken down."""
    if read_record(run_id).deployment == COMPOSE:
        from operatorlab.deploy.compose import ComposeDeployment

        return ComposeDeployment.attach(run_id)
    from operatorlab.deploy.processes import ProcessDeployment

    return ProcessDeployment.attach(run_id)


async def end(record: LabRecord) -> None:
    """End whatever runs of the lab `record`, in whatever state it is."""
    from operatorlab.deploy.ending import end_processes

    try:
        if record.deployment == COMPOSE:
            from operatorlab.deploy.compose import end_containers

            await end_containers(record)
    finally:
        await end_processes(record)
