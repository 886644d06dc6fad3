"""The members of a lab as processes: start, stop, kill, pause, resume, and how they stand."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import xmlrpc.client
from collections.abc import Mapping

import psutil

from operatorlab.deploy.kin import Kindred, end, is_alive, kin
from operatorlab.deploy.place import Place
from operatorlab.deploy.ports import LOOPBACK, Grabbed
from operatorlab.deploy.supervisor import Supervisor, settled
from operatorlab.deploy.system import log_tail
from operatorlab.errors import BadParameter, StartFailed, TimedOut, UnknownName
from operatorlab.subject import MemberState, Site, Subject

_READY_WITHIN_S = 20.0
_SIGNAL_WITHIN_S = 5.0
_ALREADY_STARTED = 60
_NOT_RUNNING = 70


class Members:
    """Commands to the processes of the lab at `site`."""

    def __init__(self, subject: Subject, site: Site, place: Place, lab: Kindred, supervisor: Supervisor) -> None:
        self._names = tuple(member.name for member in subject.members)
        self._site = site
        self._place = place
        self._lab = lab
        self._supervisor = supervisor

    def address(self, member: str) -> tuple[str, int]:
        """Host and port of `member`; UnknownName if the subject has none of that name."""
        return LOOPBACK, self._site.ports[self._known(member)]

    async def state(self, member: str) -> MemberState:
        """How the process of `member` stands. Paused wins over running."""
        return await self.process_state(self._known(member))

    async def start(self, member: str) -> None:
        """Start it if it is stopped, resume it if it is paused, and wait until it accepts. StartFailed if not."""
        state = await self.state(member)
        if state is MemberState.PAUSED:
            await self.resume(member)
        elif state is MemberState.STOPPED:
            await self._make_room(member)
            await self.start_processes({member: member})

    async def stop(self, member: str) -> None:
        """Ask it to end (SIGTERM), and make it (SIGKILL) after three seconds. A stopped one stays stopped."""
        pid = await self.pid(self._known(member))
        if pid:
            _signal_group(pid, signal.SIGCONT)  # a paused process would never hear the other
            await self._unless(_NOT_RUNNING, "stopProcess", member)

    async def kill(self, member: str) -> None:
        """End it at once (SIGKILL), with the processes it started. A stopped one stays stopped."""
        pid = await self.pid(self._known(member))
        if pid:
            _signal_group(pid, signal.SIGKILL)
            await settled(self._supervisor, frozenset({member}))

    async def pause(self, member: str) -> None:
        """Freeze it (SIGSTOP); BadParameter if it is stopped."""
        pid = await self.pid(self._known(member))
        if not pid:
            raise BadParameter(f"{member} is stopped and cannot be paused")
        _signal_group(pid, signal.SIGSTOP)
        await self._becomes(member, MemberState.PAUSED)

    async def resume(self, member: str) -> None:
        """Let it go on (SIGCONT) if it is paused."""
        pid = await self.pid(self._known(member))
        if pid:
            _signal_group(pid, signal.SIGCONT)
            await self._becomes(member, MemberState.RUNNING)

    # ── by process: members and links ──────────────────────────────────────────────────────────

    async def pid(self, process: str) -> int:
        """The pid of a process of the lab; 0 if it does not run."""
        try:
            called = int((await self._supervisor.info(process))["pid"])
            return await asyncio.to_thread(self._place.pid, called)
        except xmlrpc.client.Fault as refusal:
            raise StartFailed(
                f"supervisord no longer knows {process}: {refusal.faultString}",
                cause="an operator changed its configuration",
            ) from refusal
        except OSError:  # supervisord is gone: what it ran is found by its environment
            return next((p.pid for p in await self._orphans() if _supervised_as(p, process)), 0)

    async def pids(self) -> Mapping[str, int]:
        """The pid of every member, 0 if it does not run. One question to the supervisor; OSError if it is gone."""
        known = await self._supervisor.all()
        return await asyncio.to_thread(lambda: {name: self._place.pid(known.get(name, 0)) for name in self._names})

    async def process_state(self, process: str) -> MemberState:
        """How a process of the lab stands."""
        pid = await self.pid(process)
        try:
            status = psutil.Process(pid).status() if pid else psutil.STATUS_DEAD
        except psutil.NoSuchProcess:
            status = psutil.STATUS_DEAD
        if status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
            return MemberState.PAUSED
        return MemberState.STOPPED if status in (psutil.STATUS_DEAD, psutil.STATUS_ZOMBIE) else MemberState.RUNNING

    async def start_processes(self, listens: Mapping[str, str | None]) -> None:
        """Start processes side by side and wait for each until the port it listens on, if any, accepts.

        StartFailed if one does not; as Grabbed, if something else listens there.
        """
        for name in listens:
            await self._launch(name)
        for name, port in listens.items():
            await self._ready(name, port)

    async def signal(self, process: str, number: signal.Signals) -> None:
        """Signal a process of the lab, if it runs."""
        pid = await self.pid(process)
        if pid:
            os.kill(pid, number)

    async def _launch(self, process: str) -> None:
        if await self.process_state(process) is MemberState.STOPPED:
            await settled(self._supervisor, frozenset({process}))  # or it would be said to run already
            await self._unless(_ALREADY_STARTED, "startProcess", process, False)

    async def _ready(self, process: str, port: str | None) -> None:
        pid = await self.pid(process)
        until = time.monotonic() + _READY_WITHIN_S
        number = self._site.ports[port] if port else 0
        while pid and _lives(pid):
            if not number or (await self._place.accepts(number) and self._place.listens(pid, number)):
                return
            if time.monotonic() > until:
                break
            await asyncio.sleep(0.01)
        if port and await self._place.accepts(number) and not (pid and self._place.listens(pid, number)):
            raise Grabbed(port, number)
        happened = "does not accept connections" if pid and _lives(pid) else "exited at once"
        raise StartFailed(
            f"{process} {happened}; its log ends:\n{log_tail(self._place.files, process)}",
            next_step=f"read {self._place.files.folder}/log/{process}.log",
        )

    async def _make_room(self, member: str) -> None:
        """End what an operator started by hand on the port of `member`, or the member could not have it."""
        number = self._site.ports[member]
        await end(
            [process for process in await self._orphans() if self._place.listens(process.pid, number, family=False)]
        )

    async def _orphans(self) -> list[psutil.Process]:
        return await asyncio.to_thread(kin, self._lab)

    async def _becomes(self, member: str, wanted: MemberState) -> None:
        until = time.monotonic() + _SIGNAL_WITHIN_S
        while await self.process_state(member) is not wanted:
            if time.monotonic() > until:
                raise TimedOut(f"{member} is not {wanted} after {_SIGNAL_WITHIN_S} s")
            await asyncio.sleep(0.005)

    async def _unless(self, fault: int, method: str, *arguments: object) -> None:
        try:
            await self._supervisor.call(method, *arguments)
        except xmlrpc.client.Fault as refusal:
            if refusal.faultCode != fault:
                raise StartFailed(f"supervisord refused {method} {arguments[0]}: {refusal.faultString}") from refusal

    def _known(self, member: str) -> str:
        if member not in self._names:
            raise UnknownName("member", member, self._names)
        return member


def _lives(pid: int) -> bool:
    try:
        return is_alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal a process that supervisord started and all it started; supervisord gives each a group of its own."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:  # it ended by itself meanwhile
        return


def _supervised_as(process: psutil.Process, name: str) -> bool:
    try:
        return process.environ().get("SUPERVISOR_PROCESS_NAME") == name
    except psutil.Error:
        return False
