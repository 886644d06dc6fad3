"""The inside of a lab's boundary, as the harness outside deals with it: its files, its processes, the way in.

The namespaces are opened once and kept, and checked to be the lab's when they were: a pid that becomes another
process's can lead nobody astray.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from operatorlab.deploy import limits, proc
from operatorlab.deploy.beneath import Beneath
from operatorlab.deploy.boundary import LAB, RUN, SHM, TMP, Kind, dropped
from operatorlab.deploy.confined import Confined
from operatorlab.deploy.visible import LINK
from operatorlab.errors import EnvironmentTrouble

SOCKET = RUN / "supervisor.sock"
_NAMESPACES = {"mnt": "mount", "pid": "pid", "net": "net", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup"}
_WITHIN_S = 10.0
_TABLE_FRESH_S = 0.25
# Detached, so that the lab's first process takes note of its end and nobody outside has to.
_DETACH = 'exec 3>&1 >> log/supervisord.log 2>&1 < /dev/null; setsid "$@" 3>&- & echo $! >&3'


class Gone(EnvironmentTrouble, OSError):
    """The boundary is not there any more, nor anything in it."""


class Inside:
    """A `Place`: the inside of the boundary `confined`."""

    root = LAB
    socket = SOCKET
    relay = LINK

    def __init__(self, confined: Confined, environment: Mapping[str, str]) -> None:
        self.confined = confined
        self.environment = environment
        self._open: dict[str, int] = {}
        self._known: dict[int, tuple[int, int]] = {}
        self._table: tuple[float, str, dict[int, set[str]]] = (0.0, "", {})
        self._closing = weakref.finalize(self, _close, self._open)

    def __repr__(self) -> str:
        return f"<Inside of {self.confined.init_pid}>"

    def close(self) -> None:
        """Let go of the namespaces, so that they can end."""
        _close(self._open)

    @property
    def alive(self) -> bool:
        return self.confined.alive

    # ── files ──────────────────────────────────────────────────────────────────────────────────

    @property
    def files(self) -> Beneath:
        return self._below(LAB)

    @contextlib.contextmanager
    def control(self) -> Iterator[Path]:
        with self._below(RUN).pinned(SOCKET.name) as path:
            yield path

    def remove_control(self) -> None:
        if self.alive:
            self._below(RUN).empty()

    def clear(self) -> None:
        self._below(TMP).empty(keep=self._mounted(TMP))
        self._below(SHM).empty()
        self._run(self.enter(["/usr/bin/ipcrm", "--all"]))

    def _mounted(self, folder: Path) -> set[str]:
        """What lies in `folder` and is a part of the system that is shown, or holds one."""
        lines = Path(f"/proc/{self.confined.init_pid}/mountinfo").read_text().splitlines()
        below = [line.split()[4].removeprefix(f"{folder}/") for line in lines if f" {folder}/" in line]
        return {path.partition("/")[0].encode().decode("unicode_escape") for path in below}

    def _below(self, folder: Path) -> Beneath:
        root = self._descriptor("root")
        # The folder itself is a mount in a read-only folder: nobody inside can put a link there.
        return Beneath(Path(f"/proc/self/fd/{root}") / folder.relative_to("/"), self.confined.owner)

    # ── processes ──────────────────────────────────────────────────────────────────────────────

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` inside, in the operator's folder. Gone if there is no inside."""
        descriptors = {name: self._descriptor(name) for name in (*_NAMESPACES, "root")}
        at = f"/proc/{os.getpid()}/fd/"
        kind = Kind(self.confined.kind)
        options = [f"--{_NAMESPACES.get(name, name)}={at}{number}" for name, number in descriptors.items()]
        then: list[str] = []
        if kind is Kind.USER:
            # First into the user namespace that owns the others, from there into the one the lab's processes are in.
            options = [f"--user={at}{self._descriptor('owner')}", "--preserve-credentials", *options]
            then = [_NSENTER, "--user=/proc/1/ns/user", "--preserve-credentials", "--"]
        cd = ["/usr/bin/env", "--chdir=/lab"]
        command = limits.limited(dropped(kind, self.confined.owner, [*cd, *argv]), grouped=bool(self.confined.groups))
        return limits.joining(self.confined.groups, [_NSENTER, *options, "--", *then, *command])

    def enter_network(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` in the lab's network, and otherwise outside."""
        at = f"/proc/{os.getpid()}/fd/"
        user = self.confined.kind == Kind.USER
        options = [f"--user={at}{self._descriptor('owner')}", "--preserve-credentials"] if user else []
        return [_NSENTER, *options, f"--net={at}{self._descriptor('net')}", "--", *argv]

    def start(self, argv: Sequence[str]) -> int:
        told = self._run(self.enter(["/bin/sh", "-c", _DETACH, "sh", *argv]))
        return self.pid(int(told)) if told.isdigit() else 0

    def pid(self, called: int) -> int:
        if called <= 0 or not self.alive:
            return 0
        known, ticks = self._known.get(called, (0, 0))
        if known and proc.ticks(known) == ticks:
            return known
        namespace = proc.pid_namespace(self.confined.init_pid)
        for pid in proc.pids():
            if proc.pid_namespace(pid) == namespace and proc.inner(pid) == called:
                self._known[called] = pid, proc.ticks(pid) or 0
                return pid
        return 0

    async def accepts(self, port: int) -> bool:
        return bool(self._listeners().get(port))

    def listens(self, pid: int, port: int, *, family: bool = True) -> bool:
        sockets = self._listeners().get(port)
        if not sockets:
            return False
        if proc.holds(pid, sockets):
            return True
        return family and any(proc.holds(child, sockets) for child in proc.descendants(pid))

    def _listeners(self) -> dict[int, set[str]]:
        """Who listens inside. The table is slow to read: it is read again when the number of sockets has changed."""
        now, used = time.monotonic(), proc.sockets_in_use(self.confined.init_pid)
        at, then, found = self._table
        if used != then or now - at > _TABLE_FRESH_S:
            found = proc.listeners(self.confined.init_pid)
            self._table = time.monotonic(), used, found
        return found

    def signal(self, session: int, number: int) -> bool:
        """Signal every process inside that is in the session `session`; False if there is none."""
        found = self._in_session(session)
        if number == signal.SIGKILL:  # held first, each with what it starts meanwhile: none outruns this
            held: set[int] = set()
            while fresh := found - held:
                _send(fresh, signal.SIGSTOP)
                held |= fresh
                found = self._in_session(session)
        _send(found, number)
        return bool(found)

    def _in_session(self, session: int) -> set[int]:
        return {pid for pid in self.confined.pids() if proc.session(pid) == session}

    def _run(self, command: Sequence[str]) -> str:
        done = subprocess.run(
            command, env=dict(self.environment), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_WITHIN_S, check=False,
        )  # fmt: skip
        return done.stdout.strip()

    # ── namespaces ─────────────────────────────────────────────────────────────────────────────

    def _descriptor(self, name: str) -> int:
        if not self._open:
            self._take()
        return self._open[name]

    def _take(self) -> None:
        init = self.confined.init_pid
        taken: dict[str, int] = {}
        try:
            for name in _NAMESPACES:
                taken[name] = os.open(f"/proc/{init}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            taken["root"] = os.open(f"/proc/{init}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            if self.confined.kind == Kind.USER:
                taken["owner"] = proc.owner_of(taken["mnt"])
        except OSError:
            _close(taken)
        if not taken or not self.alive:  # asked after they were opened: they are the lab's
            _close(taken)
            raise Gone(
                "the lab's boundary is gone, and everything in it",
                cause="its first process was ended, or ran out of memory",
                next_step="a reset makes it anew",
            )
        self._open.update(taken)


def _send(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


_NSENTER = shutil.which("nsenter") or "/usr/bin/nsenter"


def _close(descriptors: dict[str, int]) -> None:
    while descriptors:
        os.close(descriptors.popitem()[1])
