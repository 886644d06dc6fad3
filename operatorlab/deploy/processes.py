"""The deployment `processes`: a subject as real processes on the loopback interface, run by supervisord.

    deployment = await ProcessDeployment.up(subject)
    await deployment.kill("node-2")
    await deployment.reset()     # as new, with supervisord kept warm
    await deployment.down()      # nothing left but the record and the logs

Each lab has a folder `runs/<run id>/` with its record `lab.json` and `system/`, the operator's folder.
Any process can `attach` to a lab by its run id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from operatorlab import home
from operatorlab.deploy import labs, ports
from operatorlab.deploy.base import Progress, quietly
from operatorlab.deploy.kin import end_kin
from operatorlab.deploy.members import Members
from operatorlab.deploy.paths import Paths
from operatorlab.deploy.records import LabRecord, LabState, begin_record, read_record
from operatorlab.deploy.supervisor import Supervisor, all_processes, conf, settled, socket_path
from operatorlab.deploy.system import CONF, environment, wipe_system, write_system, write_text
from operatorlab.errors import BadParameter
from operatorlab.registry import find_subject
from operatorlab.sandbox import LocalSandbox, Mode, Sandbox
from operatorlab.subject import PROCESSES, Blueprint, MemberState, Site, Subject

_ATTEMPTS = 3


class ProcessDeployment:
    """A subject that runs as processes of this machine. Implements `operatorlab.subject.Deployment`."""

    def __init__(self, subject: Subject, record: LabRecord) -> None:
        """Use `up` or `attach`."""
        self.subject = subject
        self.record = record
        self._progress: Progress = quietly
        self._settle()

    def __repr__(self) -> str:
        return f"<ProcessDeployment {self.run_id} of {self.subject_name}, {self.record.state}>"

    @classmethod
    async def up(
        cls,
        subject: Subject,
        *,
        run_id: str | None = None,
        ports: Mapping[str, int] | None = None,
        keep: bool = False,
        progress: Progress = quietly,
    ) -> ProcessDeployment:
        """Bring `subject` up and wait until every process runs and its port accepts.

        What dead labs left is removed first. With `keep` the lab outlives this process. `ports` are ports to
        use, by name; PortTaken if one is in use. StartFailed carries the log of a process that did not come up.
        """
        await labs.cleanup(progress=progress)
        deployment = cls(subject, _begin(subject, run_id, keep))
        deployment._progress = progress
        try:
            await deployment._bring_up(ports or {})
        except BaseException:
            await asyncio.shield(deployment.down())
            raise
        return deployment

    @classmethod
    def attach(cls, run_id: str) -> ProcessDeployment:
        """The lab `run_id`, from any process; UnknownName if there is none."""
        record = read_record(run_id)
        if record.state is LabState.DOWN:
            raise BadParameter(f"the lab {run_id} was taken down", next_step="operatorlab up")
        return cls(find_subject(record.source), record)

    async def reset(self, *, spare: Collection[int] = ()) -> None:
        """As new: processes ended, data, logs and edits gone, links mended, everything started again.

        That includes what an operator left running; pids in `spare`, such as those of a client load, live on.
        """
        await self._ensure_supervisor(spare)
        spared = {self.record.supervisor_pid or 0, *spare}
        await end_kin(self.run_id, self.root, spare=spared)
        await settled(self._supervisor, frozenset(process.name for process in self._processes))
        wipe_system(self.root)
        self._write()
        if any((await self._supervisor.call("reloadConfig"))[0]):  # an operator had given it another one
            await end_kin(self.run_id, self.root, spare=spare)
            await self._ensure_supervisor(spare)
        await self._start_all()

    async def down(self) -> None:
        """End everything and remove the folder of the system, but for its logs. The record stays.

        Repeating it does no harm. Nothing the lab started survives, whatever state it is in.
        """
        self.record = await labs.take_down(self.record)

    # ── what it is ─────────────────────────────────────────────────────────────────────────────

    @property
    def run_id(self) -> str:
        return self.record.run_id

    @property
    def subject_name(self) -> str:
        return self.subject.name

    @property
    def folder(self) -> Path:
        """The lab's own folder, `runs/<run id>`."""
        return self.record.folder

    @property
    def root(self) -> Path:
        """The operator's folder."""
        return self.record.root

    @property
    def logs(self) -> str:
        """Where a person finds the logs."""
        return str(self.root / "log")

    def pages(self) -> Mapping[str, str]:
        """None."""
        return {}

    def sandbox(self, audit: Path, mode: Mode = Mode.OPERATE) -> AbstractAsyncContextManager[Sandbox]:
        """Where an operator's commands run: on this machine, in the lab's folder; see `LabDeployment`."""
        if mode is not Mode.OPERATE:
            raise BadParameter(
                f"the mode {mode!r} needs a boundary that enforces it",
                cause="a lab of processes has none that lets an operator look and not touch",
                next_step="bring the lab up with --deployment compose",
            )
        return LocalSandbox(self.root, self.environment())

    @property
    def site(self) -> Site:
        return Site(self.run_id, self.root, dict(self.record.ports))

    def environment(self) -> dict[str, str]:
        """The environment of the operator's shell: small, without keys, the lab's tools first on PATH."""
        return environment(self.site)

    # ── operatorlab.subject.Deployment ─────────────────────────────────────────────────────────

    @property
    def kind(self) -> str:
        return PROCESSES

    async def trouble(self) -> str:
        """Nothing stands between the lab and its processes."""
        return ""

    def address(self, member: str) -> tuple[str, int]:
        """Host and port of `member`, past any link."""
        return self._members.address(member)

    def inside(self, member: str) -> tuple[str, int]:
        """The same: the operator's shell is on this machine."""
        return self.address(member)

    async def state(self, member: str) -> MemberState:
        return await self._members.state(member)

    async def start(self, member: str) -> None:
        """Start or resume `member` and wait until it accepts. A supervisord that an operator ended is replaced."""
        if await self._ensure_supervisor():
            await self._start_all()
        await self._members.start(member)

    async def stop(self, member: str) -> None:
        await self._members.stop(member)

    async def kill(self, member: str) -> None:
        await self._members.kill(member)

    async def pause(self, member: str) -> None:
        await self._members.pause(member)

    async def resume(self, member: str) -> None:
        await self._members.resume(member)

    async def cut(self, source: str, target: str) -> None:
        await self._paths.rule(source, target, drop=True)

    async def delay(self, source: str, target: str, delay_s: float) -> None:
        await self._paths.rule(source, target, delay_s=delay_s)

    async def delay_of(self, source: str, target: str) -> float:
        """The delay in force on a link, seconds each way."""
        return await self._paths.delay_of(source, target)

    async def mend(self, source: str, target: str) -> None:
        await self._paths.mend(source, target)

    async def is_cut(self, source: str, target: str) -> bool:
        return await self._paths.is_cut(source, target)

    # ── how it comes up ────────────────────────────────────────────────────────────────────────

    async def _bring_up(self, wanted: Mapping[str, int]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            reservation = ports.reserve(self.subject.ports, wanted, avoid=labs.ports_of_others(self.run_id))
            try:
                self._settle(ports=dict(reservation.ports))
                self._write()
                await self._ensure_supervisor()
                reservation.release()
                await self._start_all()
            except ports.Grabbed as grabbed:
                if attempt == _ATTEMPTS or grabbed.name in wanted:
                    raise ports.port_taken(grabbed.name, grabbed.port) from grabbed
                self._progress(f"port {grabbed.port} was taken meanwhile; choosing others")
                await end_kin(self.run_id, self.root)
                self._supervisor.remove()
                wipe_system(self.root)
            else:
                break
            finally:
                reservation.release()
        self.record = self.record.changed(state=LabState.UP)

    def _settle(self, **changes: object) -> None:
        if changes:
            self.record = self.record.changed(**changes)
        self._supervisor = Supervisor(self.record.control)
        self._blueprint = self.subject.blueprint(self.site) if self.record.ports else Blueprint(())
        self._processes = all_processes(self._blueprint)
        self._members = Members(self.subject, self.site, self._supervisor)
        self._paths = Paths(self.site, self._blueprint, self._members)

    def _write(self) -> None:
        write_system(self.site, self._blueprint, self._conf())

    def _conf(self) -> str:
        return conf(self.site, self._blueprint, self.record.control)

    async def _ensure_supervisor(self, spare: Collection[int] = ()) -> bool:
        """Start supervisord, unless it answers; whether that was needed. What an earlier one ran is ended."""
        if await self._supervisor.answers():
            self.record = read_record(self.run_id)
            return False
        await end_kin(self.run_id, self.root, spare=spare)
        self._supervisor.remove()
        write_text(self.root / CONF, self._conf())
        pid, started = await self._supervisor.start(self.root, self.environment())
        self.record = self.record.changed(supervisor_pid=pid, supervisor_started=started)
        self._progress("supervisord runs")
        return True

    async def _start_all(self) -> None:
        """Start by order; what comes later starts when what came before accepts."""
        for order in sorted({process.order for process in self._processes}):
            names = [process.name for process in self._processes if process.order == order]
            listens = {name: self._port_of(name) for name in names}
            await self._members.start_processes(listens)
            self._progress(f"{', '.join(names)}: up")

    def _port_of(self, process: str) -> str | None:
        return self._paths.listens(process) or (process if process in self.record.ports else None)


def _begin(subject: Subject, run_id: str | None, keep: bool) -> LabRecord:
    record = begin_record(subject, PROCESSES, run_id, keep=keep)
    home.make_folder(record.root)
    return record.changed(socket=socket_path(record.root))
