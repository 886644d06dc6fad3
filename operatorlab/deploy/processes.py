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
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from operatorlab.deploy import labs, ports, visible
from operatorlab.deploy.base import Progress, quietly
from operatorlab.deploy.boundary import chosen
from operatorlab.deploy.enclosing import begin_lab, enclose, keepers
from operatorlab.deploy.ending import end_inside
from operatorlab.deploy.inside import Inside
from operatorlab.deploy.kin import end_kin
from operatorlab.deploy.members import Members
from operatorlab.deploy.paths import Paths
from operatorlab.deploy.place import SUPERVISOR_LOG, Here, Place
from operatorlab.deploy.records import LabRecord, LabState, read_record
from operatorlab.deploy.shells import run_in, shell_at
from operatorlab.deploy.supervisor import Supervisor, all_processes, conf, settled
from operatorlab.deploy.system import CONF, environment, environment_inside, wipe_system, write_system
from operatorlab.deploy.watching import Watch
from operatorlab.errors import BadParameter, OperatorLabError
from operatorlab.registry import find_subject
from operatorlab.sandbox import Mode, Sandbox
from operatorlab.subject import PROCESSES, Blueprint, Change, MemberState, Site, Subject

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
        boundary: str | None = None,
        progress: Progress = quietly,
    ) -> ProcessDeployment:
        """Bring `subject` up and wait until every process runs and its port accepts.

        What dead labs left is removed first. With `keep` the lab outlives this process. `ports` are ports to
        use, by name; PortTaken if one is in use. `boundary` is `auto`, `none` or `required`; without one,
        $OPERATORLAB_BOUNDARY, else `auto`. StartFailed carries the log of a process that did not come up.
        """
        await labs.cleanup(progress=progress)
        allowed = await asyncio.to_thread(chosen, boundary)
        deployment = cls(subject, begin_lab(subject, run_id, keep, allowed))
        deployment._progress = progress
        progress(str(allowed))
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
        try:
            await self._renew(spare)
        except (OperatorLabError, OSError):
            if self.record.confined is None:
                raise
            await end_inside(self.record, self.record.confined)  # an operator can spoil no more than what is inside
            await self._renew(spare)

    async def _renew(self, spare: Collection[int]) -> None:
        await self._ensure_supervisor(spare)
        await end_kin(self.record, spare={self.record.supervisor_pid or 0, *self._keepers, *spare})
        await settled(self._supervisor, frozenset(process.name for process in self._processes))
        await asyncio.to_thread(self._wipe)
        self._write()
        if any((await self._supervisor.call("reloadConfig"))[0]):  # an operator had given it another one
            await end_kin(self.record, spare={*self._keepers, *spare})
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
        """The operator's folder, as it is reached on this machine."""
        return self.record.outside

    @property
    def logs(self) -> str:
        """Where a person finds the logs."""
        return str(self.root / "log")

    def pages(self) -> Mapping[str, str]:
        """None."""
        return {}

    def sandbox(self, audit: Path, mode: Mode = Mode.OPERATE) -> AbstractAsyncContextManager[Sandbox]:
        """Where an operator's commands run: on this machine, in the lab's folder; see `LabDeployment`."""
        self._follow()
        return shell_at(self.place, self.root, mode)

    @property
    def site(self) -> Site:
        return Site(self.run_id, self.place.root, dict(self.record.ports))

    def environment(self) -> dict[str, str]:
        """The environment of the lab's programs on this machine: small, without keys, the lab's tools on PATH."""
        return environment(Site(self.run_id, self.record.root, dict(self.record.ports)))

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

    def changes(self) -> AsyncIterator[Change]:
        """Ends, stops and starts of the members' processes; see `Announces`."""
        names = [member.name for member in self.subject.members]
        return Watch(names, lambda: self._members.pids()).changes()  # noqa: PLW0108  by then others may be in force

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

    async def run(self, member: str, *argv: str) -> tuple[int, str]:
        """Run a program in the lab's folder, as its user; 127 if there is none such, 124 if it took too long."""
        self.address(member)  # whom the lab does not know, it runs nothing for
        self._follow()
        return await run_in(shell_at(self.place, self.root), argv)

    # ── how it comes up ────────────────────────────────────────────────────────────────────────

    async def _bring_up(self, wanted: Mapping[str, int]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            reservation = ports.reserve(self.subject.ports, wanted, avoid=labs.ports_of_others(self.run_id))
            try:
                self._settle(ports=dict(reservation.ports))
                await self._enclose(reservation)
                self._write()
                await self._ensure_supervisor()
                reservation.release()
                await self._start_all()
            except ports.Grabbed as grabbed:
                if attempt == _ATTEMPTS or grabbed.name in wanted:
                    raise ports.port_taken(grabbed.name, grabbed.port) from grabbed
                self._progress(f"port {grabbed.port} was taken meanwhile; choosing others")
                await end_kin(self.record)
                if not self.record.confined:  # else all of it is gone with its processes
                    self.place.remove_control()
                    self._wipe()
            else:
                break
            finally:
                reservation.release()
        self.record = self.record.changed(state=LabState.UP)

    def _settle(self, **changes: object) -> None:
        if changes:
            self.record = self.record.changed(**changes)
        confined = self.record.confined
        self.place: Place = (
            Inside(confined, environment_inside(self.run_id))
            if confined
            else Here(self.record.root, self.record.control, self.environment())
        )
        self._supervisor = Supervisor(self.place)
        self._blueprint = self.subject.blueprint(self.site) if self.record.ports else Blueprint(())
        self._processes = all_processes(self._blueprint, self.place.relay)
        self._commands = Members(self.subject, self.site, self.place, self.record, self._supervisor)
        self._links = Paths(self.site, self.place, self._blueprint, self._commands)

    def _follow(self) -> None:
        """Take note of what another process, or this one, has made of the lab since."""
        if (found := read_record(self.run_id)) != self.record:
            self.record = found
            self._settle()

    def _abreast(self) -> None:
        """A boundary that is gone may have been made anew by another process."""
        if self.record.confined and not self.record.confined.alive:
            self._follow()

    @property
    def _members(self) -> Members:
        """Commands to the members."""
        self._abreast()
        return self._commands

    @property
    def _paths(self) -> Paths:
        """Commands to the links."""
        self._abreast()
        return self._links

    def _write(self) -> None:
        write_system(self.place, self.site, self._blueprint, self._conf())

    def _wipe(self) -> None:
        wipe_system(self.place.files)
        self.place.clear()

    def _conf(self) -> str:
        return conf(self.place, self._blueprint, as_root=os.getuid() == 0 and not self.record.confined)

    def _write_conf(self) -> None:
        """With the folder for the log that is opened next; an operator may have removed it."""
        self.place.files.make_folder(SUPERVISOR_LOG.parent)
        self.place.files.write(CONF, self._conf())

    @property
    def _keepers(self) -> set[int]:
        return keepers(self.record.confined) if self.record.confined else set()

    async def _enclose(self, reservation: ports.Reservation | None = None, spare: Collection[int] = ()) -> None:
        """See that the boundary, if the lab has one, stands and lets clients in."""
        confined = self.record.confined
        if confined is None or (confined.alive and confined.forwards):
            return
        mounts = visible.mounts(self.subject, self._blueprint)
        names = [member.name for member in self.subject.members if member.name in self.record.ports]
        made = await enclose(self.record, mounts, names, self.environment(), reservation=reservation, spare=spare)
        self._settle(confined=made)
        self._progress("the boundary stands")

    async def _ensure_supervisor(self, spare: Collection[int] = ()) -> bool:
        """Start supervisord, unless it answers; whether that was needed. What an earlier one ran is ended."""
        self._follow()
        await self._enclose(spare=spare)
        if await self._supervisor.answers(self.record.supervisor_pid):
            return False
        await end_kin(self.record, spare={*self._keepers, *spare})
        self.place.remove_control()
        self._write_conf()
        pid, started = await self._supervisor.start()
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
