"""The deployment `compose`: a subject as containers of one compose project, named like the lab's run.

    deployment = await ComposeDeployment.up(subject)
    await deployment.kill("node-2")
    await deployment.reset()     # as new; only what is not made as it was is made again
    await deployment.down()      # no container, network or volume is left

What a lab of containers keeps on this machine is in `runs/<run id>/`: its record, the harness's compose file,
how its containers were made, the operator's desk and the guards' sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import NotFound

from operatorlab.deploy import labs, ports
from operatorlab.deploy.base import Progress, quietly
from operatorlab.deploy.compose import bringing, subnets
from operatorlab.deploy.compose.containers import Containers, remove_project
from operatorlab.deploy.compose.engine import Engine
from operatorlab.deploy.compose.events import changes
from operatorlab.deploy.compose.links import Links
from operatorlab.deploy.compose.packets import Packets
from operatorlab.deploy.compose.recovery import Recovery
from operatorlab.deploy.compose.renewal import Renewal
from operatorlab.deploy.compose.rollout import Rollouts
from operatorlab.deploy.compose.stack import LAB, Stack, read_stack
from operatorlab.deploy.kin import end_kin
from operatorlab.deploy.ports import LOOPBACK
from operatorlab.deploy.records import LabRecord, LabState, begin_record, read_record
from operatorlab.deploy.system import environment
from operatorlab.errors import BadParameter, DockerTrouble, UnknownName
from operatorlab.registry import find_subject
from operatorlab.sandbox import Mode, Sandbox
from operatorlab.sandbox.docker import DockerSandbox
from operatorlab.sandbox.guard import Guard
from operatorlab.subject import COMPOSE, Change, MemberState, Site, Subject

if TYPE_CHECKING:
    from operatorlab.deploy.compose.command import Compose

_ATTEMPTS = 3


class ComposeDeployment:
    """A subject that runs as containers. Implements `operatorlab.subject.ContainerDeployment`."""

    def __init__(self, subject: Subject, record: LabRecord) -> None:
        """Use `up` or `attach`."""
        assert record.docker is not None, f"{record.run_id} is no lab of containers"
        self.subject = subject
        self.record = record
        self.stack: Stack = read_stack(subject)
        self.engine = Engine(record.docker)
        self.containers = Containers(self.engine, record.run_id)
        self._links = Links(self.stack, self.containers, self.ensure)
        self._packets = Packets(self.stack, self.containers, record.run_id)
        self._recovery = Recovery(
            self.engine, self.containers, ("ingress", "agent", *chain(*self.stack.stages))
        )  # Docker's own restart policy does not bring them back after every kind of end
        self._renewal = Renewal(self)
        self._rollouts = Rollouts(self)

    def __repr__(self) -> str:
        return f"<ComposeDeployment {self.run_id} of {self.subject.name}, {self.record.state}>"

    @classmethod
    async def up(
        cls,
        subject: Subject,
        *,
        run_id: str | None = None,
        ports: Mapping[str, int] | None = None,
        keep: bool = False,
        progress: Progress = quietly,
    ) -> ComposeDeployment:
        """Bring `subject` up as containers and wait until it is healthy.

        What dead labs left is removed first. With `keep` the lab outlives this process. `ports` are loopback ports
        to publish members at, by name. DockerTrouble if there is no daemon, or an image is missing.
        """
        await labs.cleanup(progress=progress)
        engine = await bringing.daemon_for(read_stack(subject))
        record = begin_record(subject, COMPOSE, run_id, keep=keep).changed(docker=engine.host)
        deployment = cls(subject, record)
        try:
            await deployment._bring_up(ports or {}, progress)
        except BaseException:
            await asyncio.shield(deployment.down())
            raise
        return deployment

    @classmethod
    def attach(cls, run_id: str) -> ComposeDeployment:
        """The lab `run_id`, from any process; UnknownName if there is none."""
        record = read_record(run_id)
        if record.state is LabState.DOWN:
            raise BadParameter(f"the lab {run_id} was taken down", next_step=f"operatorlab up --deployment {COMPOSE}")
        return cls(find_subject(record.source), record)

    async def _bring_up(self, wanted: Mapping[str, int], progress: Progress) -> None:
        entries = await bringing.entries(self.engine, self.stack)
        for attempt in range(1, _ATTEMPTS + 1):
            reservation = ports.reserve(entries, wanted, avoid=labs.ports_of_others(self.run_id))
            try:
                chosen = await self.engine(subnets.choose)
                self.record = self.record.changed(ports=dict(reservation.ports), subnets=dict(chosen))
                await asyncio.to_thread(bringing.write_folder, self.stack, self.record)
                reservation.release()
                await self.compose("up", "-d", "--no-build", progress=progress)
            except DockerTrouble as trouble:
                await self.engine(lambda client: remove_project(client, self.run_id))
                if attempt == _ATTEMPTS or not bringing.was_taken(trouble):
                    raise
                progress("an address was taken meanwhile; choosing others")
            else:
                break
            finally:
                reservation.release()
        progress("waiting until it is healthy")
        await bringing.healthy(self.subject, self)
        await self._renewal.remember()
        self.record = self.record.changed(state=LabState.UP)

    # ── what it is ─────────────────────────────────────────────────────────────────────────────

    @property
    def run_id(self) -> str:
        return self.record.run_id

    @property
    def kind(self) -> str:
        return COMPOSE

    @property
    def folder(self) -> Path:
        """The lab's own folder, `runs/<run id>`."""
        return self.record.folder

    @property
    def logs(self) -> str:
        return f"docker logs, of the containers that `docker ps -a -f label=operatorlab.run={self.run_id}` lists"

    def pages(self) -> Mapping[str, str]:
        """Prometheus, and Grafana where its image was to be had."""
        return {
            name: f"http://{LOOPBACK}:{self.record.ports[name]}"
            for name in self.stack.pages
            if name in self.record.ports
        }

    def environment(self) -> dict[str, str]:
        """The environment of the lab's own programs on this machine."""
        return environment(Site(self.run_id, self.record.root, dict(self.record.ports)))

    @property
    def compose(self) -> Compose:
        """Compose commands for this lab's project."""
        return bringing.compose_of(self.stack, self.record)

    @asynccontextmanager
    async def sandbox(self, audit: Path, mode: Mode = Mode.OPERATE) -> AsyncIterator[Sandbox]:
        """A shell in a container of the lab's own, behind a guard; see `LabDeployment`."""
        service = "agent" if mode is Mode.OPERATE else "observer"
        if mode is Mode.OBSERVE:
            await self.ensure("reader")
        await self.ensure(service)
        container = await self.containers.need(service)
        guard = Guard(bringing.guarded(self.record, audit, mode))
        async with guard, DockerSandbox(guard.lab.docker, str(container.id), mode=mode) as box:
            yield box

    async def trouble(self) -> str:
        """Why the daemon cannot be asked; when it is back, what ran before runs again first."""
        return await self._recovery.trouble()

    # ── members ────────────────────────────────────────────────────────────────────────────────

    def address(self, member: str) -> tuple[str, int]:
        """Host and port of `member` on this machine, past any link."""
        return LOOPBACK, self.record.ports[self._known(member)]

    def inside(self, member: str) -> tuple[str, int]:
        """Its name and port in the lab's network."""
        return member, self.stack.members[self._known(member)]

    def changes(self) -> AsyncIterator[Change]:
        """What the daemon announces of the members' containers; see `Announces`."""
        return changes(self.engine, self.run_id, self.stack.members)

    async def state(self, member: str) -> MemberState:
        return await self.containers.state(self._known(member))

    async def start(self, member: str) -> None:
        """Start it, let it go on, or make it again if it was removed; wait until it accepts. StartFailed if not."""
        await self.ensure(self._known(member))
        await bringing.accepts(self, member)

    async def attempt(self, member: str) -> None:
        """Start it, and do not wait for it to come up."""
        await self.ensure(self._known(member))

    async def ensure(self, service: str) -> None:
        """Have the container of a service run, made again if it is missing."""
        if not await self.containers.start(service):
            await self.compose("up", "-d", "--no-build", "--no-deps", service)

    async def ended(self, member: str, within_s: float) -> bool:
        return await self.containers.ended(self._known(member), within_s)

    async def roll_out(self, member: str, environment: Mapping[str, str]) -> None:
        await self._rollouts.roll_out(self._known(member), environment)

    async def rolled_out(self, member: str) -> Mapping[str, str]:
        return self._renewal.other_environment(member, await self.containers.inspect(self._known(member)))

    async def stop(self, member: str) -> None:
        await self.containers.stop(self._known(member))

    async def kill(self, member: str) -> None:
        await self.containers.kill(self._known(member))

    async def pause(self, member: str) -> None:
        await self.containers.pause(self._known(member))

    async def resume(self, member: str) -> None:
        await self.containers.resume(self._known(member))

    async def run(self, member: str, *argv: str) -> tuple[int, str]:
        """Run a program in its container; its exit code and everything it printed."""
        ran = await self.containers.run(self._known(member), argv)
        return ran.exit_code, ran.output

    # ── paths between members ──────────────────────────────────────────────────────────────────

    async def cut(self, source: str, target: str) -> None:
        await self._links.cut(source, target)

    async def delay(self, source: str, target: str, delay_s: float) -> None:
        await self._links.delay(source, target, delay_s)

    async def delay_of(self, source: str, target: str) -> float:
        """The delay in force on a link, seconds each way."""
        return await self._links.delay_of(source, target)

    async def mend(self, source: str, target: str) -> None:
        await self._links.mend(source, target)

    async def is_cut(self, source: str, target: str) -> bool:
        return await self._links.is_cut(source, target)

    async def drop(self, source: str, target: str, *, one_way: bool = False, share: float = 1.0) -> None:
        await self._packets.drop(self._known(source), self._known(target), one_way=one_way, share=share)

    async def dropping(self, source: str, target: str) -> bool:
        """Whether packets between two members are lost right now."""
        return await self._packets.dropping(self._known(source), self._known(target))

    async def deliver(self, source: str, target: str) -> None:
        await self._packets.deliver(self._known(source), self._known(target))

    async def disconnect(self, member: str) -> None:
        """Take it off the lab's network; it runs on."""
        container = await self.containers.need(self._known(member))
        await self.engine(lambda client: client.networks.get(self._network).disconnect(container, force=True))

    async def connect(self, member: str) -> None:
        """Put it back, under its name; one that was removed is made again."""
        if await self.connected(member):
            return
        await self.ensure(self._known(member))
        container = await self.containers.need(member)
        if not await self.connected(member):
            await self.engine(lambda client: client.networks.get(self._network).connect(container, aliases=[member]))

    async def connected(self, member: str) -> bool:
        """Whether its container is on the lab's network, running or not."""
        found = await self.containers.inspect(self._known(member))
        return found is not None and self._network in found["NetworkSettings"]["Networks"]

    @property
    def _network(self) -> str:
        return f"{self.run_id}_{LAB}"

    # ── limits ─────────────────────────────────────────────────────────────────────────────────

    async def limit(self, member: str, *, cpus: float | None = None, memory: int | None = None) -> None:
        """Let it have so many processors, or so many bytes of memory, swap included, from now on."""
        changes = {} if cpus is None else {"NanoCpus": round(cpus * 1e9)}
        changes |= {} if memory is None else {"Memory": memory, "MemorySwap": memory}
        await self.containers.limit(self._known(member), changes)

    async def limited(self, member: str) -> bool:
        """Whether it has less than it came up with."""
        now = await self._limits(member)
        return now is not None and any(now[name] < value for name, value in self._renewal.limits(member).items())

    async def lift(self, member: str) -> None:
        """Let it have what it came up with."""
        now, before = await self._limits(member), self._renewal.limits(self._known(member))
        if now is not None and now != before:
            await self.containers.limit(member, before)

    async def _limits(self, member: str) -> Mapping[str, int] | None:
        found = await self.containers.inspect(self._known(member))
        return None if found is None else {name: int(found["HostConfig"][name]) for name in self._renewal.LIMITS}

    # ── the end, and a new beginning ───────────────────────────────────────────────────────────

    async def reset(self, *, spare: Collection[int] = ()) -> None:
        """As new: every container started anew, and made anew where it is not made as it was. Proven at the end."""
        await end_kin(self.record, spare=spare)
        await self._renewal.renew()

    async def freshness(self) -> Mapping[str, str]:
        """What is not as it was when the lab came up, by service; empty if it is as new."""
        return await self._renewal.differences()

    async def down(self) -> None:
        """End everything: no container, network or volume is left. Repeating it does no harm."""
        self.record = await labs.take_down(self.record)

    def _known(self, member: str) -> str:
        if member not in self.stack.members:
            raise UnknownName("member", member, self.stack.members)
        return member


async def end_containers(record: LabRecord) -> None:
    """Remove every container, network and volume of a lab. DockerTrouble if its daemon cannot be asked."""
    if record.docker is None:  # it never came so far
        return
    try:
        await Engine(record.docker)(lambda client: remove_project(client, record.run_id))
    except NotFound:  # a network's container went while it was removed: once more sees the rest
        await Engine(record.docker)(lambda client: remove_project(client, record.run_id))
