"""The containers of one lab: found by their labels, started, stopped, frozen, limited; programs run in them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network

from operatorlab.deploy.compose.engine import Engine
from operatorlab.deploy.compose.stack import HARNESS, PART, RUN
from operatorlab.errors import BadParameter, DockerTrouble, NetworkHeld
from operatorlab.sandbox.docker import frames
from operatorlab.subject import MemberState

PROJECT, SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_STATES = {"running": MemberState.RUNNING, "restarting": MemberState.RUNNING, "paused": MemberState.PAUSED}
_LOOK_AGAIN_S = 0.1
_BEST_FIRST = ("running", "paused", "restarting", "exited", "created", "dead", "removing")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program in a container did: its exit code and everything it printed."""

    exit_code: int
    output: str


class Containers:
    """Those of the compose project `project`, the harness's own among them."""

    def __init__(self, engine: Engine, project: str) -> None:
        self._engine = engine
        self._project = project

    async def all(self) -> list[Container]:
        """Every container of the project, running or not."""
        return await self._engine(lambda client: _listed(client, [f"{PROJECT}={self._project}"]))

    async def find(self, service: str) -> Container | None:
        """The container of a service, the one that runs before others; None if there is none."""
        labels = [f"{PROJECT}={self._project}", f"{SERVICE}={service}"]
        found = await self._engine(lambda client: _listed(client, labels))
        return min(found, key=lambda one: _BEST_FIRST.index(one.status), default=None)

    async def need(self, service: str) -> Container:
        """The same, where there must be one."""
        container = await self.find(service)
        if container is None:
            raise DockerTrouble(f"{service} has no container", cause="it was removed")
        return container

    async def state(self, service: str) -> MemberState:
        """How the container of a service stands; one that was removed is stopped."""
        container = await self.find(service)
        return MemberState.STOPPED if container is None else _STATES.get(container.status, MemberState.STOPPED)

    async def start(self, service: str) -> bool:
        """Start its container or let it go on; False if there is none."""
        container = await self.find(service)
        if container is None:
            return False
        if container.status == "paused":
            await self._engine(lambda _: container.unpause())
        elif container.status != "running":
            await self._engine(lambda _: container.start())
        return True

    async def stop(self, service: str, *, within_s: int = 3) -> None:
        """Ask it to end, and make it after `within_s` seconds. A stopped one stays stopped."""
        if container := await self._thawed(service):
            await self._engine(lambda _: container.stop(timeout=within_s))

    async def kill(self, service: str, signal: str = "KILL") -> None:
        """Signal its first process, if it runs; a frozen one thaws."""
        if container := await self._thawed(service):
            await self._engine(lambda _: container.kill(signal))

    async def ended(self, service: str, within_s: float) -> bool:
        """Wait until it has ended, so long at most; whether it has. The daemon tells at once."""
        container = await self.need(service)
        try:
            async with asyncio.timeout(within_s):
                await self._engine.post(f"/containers/{container.id}/wait", {})
        except TimeoutError:
            return False
        return True

    async def pause(self, service: str) -> None:
        """Freeze it; BadParameter if it does not run."""
        state = await self.state(service)
        if state is MemberState.STOPPED:
            raise BadParameter(f"{service} is stopped and cannot be paused")
        if state is MemberState.RUNNING:
            container = await self.need(service)
            await self._engine(lambda _: container.pause())

    async def resume(self, service: str) -> None:
        """Let it go on if it is frozen."""
        await self._thawed(service)

    async def run(self, service: str, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Ran:
        """Run a program in the container of a service, as its user, and wait for it."""
        container = await self.need(service)

        settings = [f"{name}={value}" for name, value in (environment or {}).items()]
        body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(argv), "Env": settings}
        execution = json.loads(await self._engine.post(f"/containers/{container.id}/exec", body))["Id"]
        told = await self._engine.post(f"/exec/{execution}/start", {"Detach": False, "Tty": False})
        code = await self._engine(lambda client: client.api.exec_inspect(execution)["ExitCode"])
        return Ran(int(code or 0), b"".join(piece for _, piece in frames(bytearray(told))).decode(errors="replace"))

    async def log(self, service: str, lines: int) -> str:
        """The last lines a service logged."""
        container = await self.need(service)
        told: bytes = await self._engine(lambda _: container.logs(tail=lines))
        return told.decode(errors="replace")

    async def inspect(self, service: str) -> Mapping[str, Any] | None:
        """Everything Docker knows of the container of a service; None if there is none."""
        container = await self.find(service)
        if container is None:
            return None
        return await self._engine(lambda client: _inspected(client, container))

    async def limit(self, service: str, limits: Mapping[str, int]) -> None:
        """Change limits in place, by the names of Docker's API: `NanoCpus`, `Memory` and `MemorySwap` in bytes."""
        container = await self.need(service)
        await self._engine.post(f"/containers/{container.id}/update", limits)

    async def beside(self, service: str, image: str, script: str, *, capabilities: Sequence[str]) -> Ran:
        """Run a shell script in a short-lived container of the harness that shares the network of a service's.

        BadParameter if the service has the host's own network: nothing may be broken there.
        """
        container = await self.need(service)
        inspected = await self._engine(lambda client: _inspected(client, container))
        if inspected["HostConfig"]["NetworkMode"] == "host":
            raise BadParameter(f"{service} uses the network of this machine: it is not touched")
        labels = {PROJECT: self._project, PART: HARNESS, RUN: self._project, "operatorlab.beside": service}

        def go(client: docker.DockerClient) -> Ran:
            helper = client.containers.create(
                image, ["-c", script], entrypoint=["sh"], network_mode=f"container:{container.id}", labels=labels,
                cap_drop=["ALL"], cap_add=list(capabilities), tmpfs={"/run": "size=1m"}, read_only=True,
            )  # fmt: skip
            try:
                helper.start()
                code = int(helper.wait()["StatusCode"])
                return Ran(code, helper.logs().decode(errors="replace"))
            finally:
                helper.remove(force=True)

        return await self._engine(go)

    async def _thawed(self, service: str) -> Container | None:
        """The container of a service, if it runs, thawed first if it was frozen: a frozen one takes no signal."""
        container = await self.find(service)
        if container is None or container.status not in _STATES:
            return None
        if container.status == "paused":
            await self._engine(lambda _: container.unpause())
        return container


def _listed(client: docker.DockerClient, labels: list[str]) -> list[Container]:
    return list(client.containers.list(all=True, sparse=True, filters={"label": labels}))


def label(container: Container, name: str) -> str | None:
    """A label of a container, as it was listed."""
    told = (container.attrs.get("Labels") or {}).get(name)
    return None if told is None else str(told)


def _inspected(client: docker.DockerClient, container: Container) -> Mapping[str, Any]:
    found: Mapping[str, Any] = client.api.inspect_container(str(container.id))
    return found


def remove_project(client: docker.DockerClient, project: str, *, freed_within_s: float = 10.0) -> None:
    """Remove every container, volume and network of a project; what is gone already is no trouble.

    NetworkHeld, once all else is gone, if the daemon does not let go of a network that nothing is attached to,
    `freed_within_s` seconds long.
    """
    label = f"{PROJECT}={project}"
    for container in _listed(client, [label]):
        _gone(lambda one=container: one.remove(force=True, v=True))
    for volume in client.volumes.list(filters={"label": label}):
        _gone(lambda one=volume: one.remove(force=True))
    held: list[str] = []
    for network in client.networks.list(filters={"label": label}):
        _gone(lambda one=network: _remove_network(one, held, freed_within_s))
    if held:
        raise NetworkHeld(held)


def _remove_network(network: Network, held: list[str], within_s: float) -> None:
    """Remove it, freed of what hangs on to it: a stranger's container, or the end of one that is no more.

    Its name goes to `held` if it cannot be removed although nothing hangs on to it.
    """
    give_up = time.monotonic() + within_s
    while True:
        try:
            return network.remove()
        except APIError as refusal:
            if "active endpoints" not in str(refusal.explanation):
                raise
            network.reload()
            ends = network.attrs.get("Containers") or {}
            if time.monotonic() > give_up:
                if ends:
                    raise
                return held.append(str(network.name))
        for end in ends:
            _gone(lambda one=end: network.disconnect(one, force=True))
        time.sleep(_LOOK_AGAIN_S)  # the daemon tells nobody when an end is gone


def _gone(remove: Any) -> None:
    try:
        remove()
    except NotFound:  # another process removes it as well
        return
