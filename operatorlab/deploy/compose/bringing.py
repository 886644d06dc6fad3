"""How a lab of containers comes up: its images, its folder, the way to its members, its first health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import docker
from docker.errors import ImageNotFound

from operatorlab import home
from operatorlab.deploy.compose.command import Compose
from operatorlab.deploy.compose.engine import Engine, find_daemon, socket_of
from operatorlab.deploy.compose.stack import AGENT_IMAGE, RELAY_IMAGE, Stack, harness
from operatorlab.deploy.ingress import NAMED_WITHIN_S
from operatorlab.deploy.records import LabRecord
from operatorlab.deploy.system import write_text
from operatorlab.errors import DockerTrouble, StartFailed, TimedOut
from operatorlab.sandbox import Mode
from operatorlab.sandbox.guard import Lab as GuardedLab
from operatorlab.subject import Observation, Subject

if TYPE_CHECKING:
    from operatorlab.deploy.compose.deployment import ComposeDeployment

HARNESS_FILE = "harness.json"
TEMPLATES = "templates.json"
_HEALTHY_WITHIN_S = 60.0
_ACCEPTS_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.2
_PASSED_ON_S = NAMED_WITHIN_S + 0.25
"""A connection that the ingress could not pass on is reset sooner than this, even if it first asks for a name."""
_ASK_AGAIN_S = 0.05


async def daemon_for(stack: Stack) -> Engine:
    """The daemon that labs of `stack` come up in. DockerTrouble if there is none, or an image is missing there."""
    engine = Engine(find_daemon())
    await engine(lambda client: require_images(client, stack))
    return engine


def require_images(client: docker.DockerClient, stack: Stack) -> None:
    """DockerTrouble if an image that the lab needs is not there; nothing is ever pulled behind a user's back."""
    missing = [name for name in sorted({*stack.images, RELAY_IMAGE, AGENT_IMAGE}) if not _has(client, name)]
    if missing:
        raise DockerTrouble(
            f"these images are not on this machine: {', '.join(missing)}",
            next_step="make images  (where no registry is reachable it builds them from Debian's packages)",
        )


async def entries(engine: Engine, stack: Stack) -> Mapping[str, int]:
    """What this machine is to reach: the members, and those pages whose image is to be had."""
    there = await engine(lambda client: {name: _has(client, image) for name, image in stack.optional.items()})
    return {name: port for name, port in stack.entries.items() if there.get(name, True)}


def _has(client: docker.DockerClient, name: str) -> bool:
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def write_folder(stack: Stack, record: LabRecord) -> None:
    """The harness's file, the operator's desk (the stack, and what it is called), a folder for each guard."""
    write_text(record.folder / HARNESS_FILE, harness(stack, record, record.folder))
    desk = record.folder / "desk"
    write_text(desk / "compose.yaml", stack.file.read_text())
    settings = {"COMPOSE_PROJECT_NAME": record.run_id, **variables(record)}
    write_text(desk / ".env", "".join(f"{name}={value}\n" for name, value in settings.items()))
    for mode in ("operate", "observe"):
        folder = home.make_folder(record.folder / "guard" / mode)
        folder.chmod(0o755)  # it is entered from inside a container, under another user's number
    for path in (desk, desk / "compose.yaml", desk / ".env"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def variables(record: LabRecord) -> dict[str, str]:
    """What stands open in a stack's file."""
    return {"OPERATORLAB_SUBNET": record.subnets["lab"]}


def compose_of(stack: Stack, record: LabRecord, *over: Path) -> Compose:
    """Compose commands for a lab's project, the harness included; the files `over` have the last word."""
    assert record.docker is not None
    files = (stack.file, record.folder / HARNESS_FILE, *over)
    profiles = tuple(name for name in stack.optional if name in record.ports)
    return Compose(record.run_id, files, record.docker, variables(record), profiles)


def was_taken(trouble: DockerTrouble) -> bool:
    """Whether an address or a port that was free a moment ago is not any more."""
    signs = ("overlap", "already allocated", "address already in use")
    return any(sign in trouble.what for sign in signs)


async def healthy(subject: Subject, deployment: ComposeDeployment) -> None:
    """Look until the subject is healthy; TimedOut says what was wrong last."""
    until = time.monotonic() + _HEALTHY_WITHIN_S
    async with subject.observer(deployment) as observer:
        while not subject.healthy(seen := await observer.observe()):
            if time.monotonic() > until:
                raise TimedOut(
                    f"{subject.name} is not healthy after {_HEALTHY_WITHIN_S:g} s: {_wrong(seen)}",
                    next_step=f"look at {deployment.logs}",
                )
            await asyncio.sleep(_LOOK_EVERY_S)


def _wrong(seen: Observation) -> str:
    return "; ".join(f"{node.name} is {node.state} ({node.reason})" for node in seen.nodes if node.reason)


async def accepts(deployment: ComposeDeployment, member: str) -> None:
    """Wait until `member` accepts connections; StartFailed with the end of its log if it does not, or has ended."""
    until = time.monotonic() + _ACCEPTS_WITHIN_S
    host, port = deployment.address(member)
    while not await _passed_on(host, port):
        container = await deployment.containers.need(member)
        if container.status == "exited" or time.monotonic() > until:
            tail = await deployment.containers.log(member, lines=15)
            happened = "exited at once" if container.status == "exited" else "does not accept connections"
            raise StartFailed(f"{member} {happened}; its log ends:\n{tail}", next_step=f"look at {deployment.logs}")
        await asyncio.sleep(_ASK_AGAIN_S)


async def _passed_on(host: str, port: int) -> bool:
    """Whether a connection stays open: the ingress resets it if nobody listens behind."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(_PASSED_ON_S):
            return bool(await reader.read(1))
    except TimeoutError:
        return True
    except OSError:
        return False
    finally:
        writer.close()


def guarded(record: LabRecord, audit: Path, mode: Mode) -> GuardedLab:
    """What the guard of a lab has to know. It listens where the operator's container has its /run/guard."""
    assert record.docker is not None
    return GuardedLab(
        project=record.run_id,
        run=record.run_id,
        mode=mode.value,
        socket=record.folder / "guard" / mode / "docker.sock",
        docker=socket_of(record.docker),
        audit=audit,
        templates=record.folder / TEMPLATES,
    )
