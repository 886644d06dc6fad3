"""One lab's supervisord: its file, its start, and calls to it over a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import shlex
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import xmlrpc.client
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.parsers import expat

import psutil

from operatorlab.deploy.kin import is_alive
from operatorlab.deploy.place import SUPERVISOR_LOG, Here, Place
from operatorlab.deploy.system import CONF, link_file, link_name
from operatorlab.errors import NotWritable, StartFailed, TimedOut
from operatorlab.subject import Blueprint, Process

_LONGEST_SOCKET = 90  # AF_UNIX takes 107 bytes, and supervisord adds its pid for a moment
_START_WITHIN_S = 10.0
_CALL_WITHIN_S = 20.0
_ANSWER_WITHIN_S = 5.0
_LONGEST_ANSWER = 1 << 20
_HEAD = """\
; The supervisor of this system. `supervisorctl status` shows its processes.
[supervisord]
nodaemon=true
silent=true
logfile={root}/{log}
logfile_maxbytes=0
pidfile={socket}.pid
childlogdir={root}/log
{user}
[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{socket}
"""
_PROGRAM = """
[program:{name}]
command={command}
directory={root}
environment={environment}
stdout_logfile={root}/log/{name}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=1
redirect_stderr=true
priority={order}
autostart=false
autorestart=false
startsecs=0
stopwaitsecs=3
stopasgroup=true
killasgroup=true
"""


def socket_path(root: Path) -> Path:
    """A short path for the socket of the lab at `root`, in a folder only this user can enter."""
    name = sha256(str(root).encode()).hexdigest()[:12] + ".sock"
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 checked below
        folder = Path(parent or "/nowhere") / f"operatorlab-{os.getuid()}"
        if folder.parent.is_dir() and len(os.fsencode(folder / name)) <= _LONGEST_SOCKET:
            return _private(folder) / name
    raise NotWritable("found no folder with a path short enough for a Unix socket", next_step="export TMPDIR=/tmp")


def conf(place: Place, blueprint: Blueprint, *, as_root: bool) -> str:
    """The supervisor's file for what the blueprint runs; values that its syntax cannot hold are refused."""
    user = "user=0\n" if as_root else ""  # supervisord wants root to say that it is meant
    head = _HEAD.format(root=_escape(str(place.root)), socket=_escape(str(place.socket)), log=SUPERVISOR_LOG, user=user)
    return head + "".join(_program(place.root, process) for process in all_processes(blueprint, place.relay))


def all_processes(blueprint: Blueprint, relay: Path = Here.relay) -> list[Process]:
    """What the blueprint runs, its links among them, in the order it starts. Links come with the first."""
    first = min((process.order for process in blueprint.processes), default=0)
    run = (sys.executable, "-P", str(relay))
    links = [Process(link_name(blueprint, x), (*run, str(link_file(x))), order=first) for x in blueprint.links]
    return sorted([*links, *blueprint.processes], key=lambda process: process.order)


def unwritable(value: str, *, quoted: bool = False) -> str:
    """Why the supervisor's file cannot hold `value`; empty if it can. `quoted` is for values of the environment."""
    if any(mark in value for mark in "\n\r\0"):
        return "a line break"
    for comment in (";", "#"):
        if f" {comment}" in value or f"\t{comment}" in value:
            return f"{comment!r} after a space, which starts a comment there"
    if quoted and (("'" in value and '"' in value) or value[:1] in {"'", '"'} or value[-1:] in {"'", '"'}):
        return "its quotation marks"
    return ""


class Supervisor:
    """Calls to the supervisord of a lab whose processes run at `place`."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def call(self, method: str, *arguments: object) -> Any:
        """Call `supervisor.<method>`; OSError if nobody answers, xmlrpc.client.Fault if it refuses."""
        return await asyncio.to_thread(self._call, method, arguments)

    async def answers(self, pid: int | None) -> bool:
        """Whether the supervisord that is `pid` listens, answers in time and is not about to end."""
        try:
            return await asyncio.to_thread(self._listener) == pid and bool(
                await asyncio.to_thread(self._call, "getState", (), _ANSWER_WITHIN_S)
            )
        except (OSError, xmlrpc.client.Error):
            return False

    async def info(self, process: str) -> Mapping[str, Any]:
        """What it knows of a process: `pid` (0 if it does not run), `statename`, …"""
        found = await asyncio.to_thread(self._call, "getProcessInfo", (process,), _ANSWER_WITHIN_S)
        if not isinstance(found, dict) or not isinstance(found.get("pid"), int):
            raise NotSupervisord(f"what listens as supervisord says of {process}: {found!r:.200}")
        return found

    async def all(self) -> Mapping[str, int]:
        """The pid of each of its processes, 0 if it does not run."""
        told = await asyncio.to_thread(self._call, "getAllProcessInfo", (), _ANSWER_WITHIN_S)
        try:
            return {str(each["name"]): int(each["pid"]) for each in told}
        except (TypeError, LookupError, ValueError) as nonsense:
            raise NotSupervisord(f"what listens as supervisord answers with nonsense: {nonsense!r:.200}") from nonsense

    def _call(self, method: str, arguments: tuple[object, ...], within_s: float = _CALL_WITHIN_S) -> Any:
        """An operator may have put anything there: it gets so much time, and what is no answer is an OSError."""
        try:
            with (
                self._place.control() as control,
                xmlrpc.client.ServerProxy("http://localhost", transport=_OverSocket(control, within_s)) as proxy,
            ):
                return getattr(proxy.supervisor, method)(*arguments)
        except (
            http.client.HTTPException, xmlrpc.client.ProtocolError, xmlrpc.client.ResponseError, expat.ExpatError,
            ValueError, TypeError, LookupError,
        ) as nonsense:  # fmt: skip
            raise NotSupervisord(f"what listens as supervisord answers with nonsense: {nonsense!r:.200}") from nonsense

    def _listener(self) -> int:
        """The process that listens, as the kernel knows it."""
        with self._place.control() as control, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_ANSWER_WITHIN_S)
            probe.connect(str(control))
            pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)

    async def start(self) -> tuple[int, float]:
        """Start supervisord; its pid and start time. It outlives this process."""
        conf = str(self._place.root / CONF)
        pid = await asyncio.to_thread(
            self._place.start, [sys.executable, "-P", "-m", "supervisor.supervisord", "-n", "-c", conf]
        )
        until = time.monotonic() + _START_WITHIN_S
        while started(pid) is not None and time.monotonic() < until:
            if await self.answers(pid) and (since := started(pid)) is not None:
                return pid, since
            await asyncio.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        tail = self._place.files.tail(SUPERVISOR_LOG, 2000)
        raise StartFailed(f"supervisord did not start\n{tail}", next_step=f"look at {self._place.files.folder / CONF}")


async def reaped(control: Path, pid: int, deadline_s: float = 0.5) -> None:
    """Give supervisord, which is `pid`, time to take note that its children ended; not for ever, it may hang."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        try:
            if not psutil.Process(pid).children():
                return
            # It looks after its children once a second, and whenever somebody calls.
            (await asyncio.open_unix_connection(control))[1].close()
        except (psutil.NoSuchProcess, OSError):
            return
        await asyncio.sleep(0.005)


def started(pid: int) -> float | None:
    """When a process started, in seconds since the epoch; None if it does not live."""
    try:
        process = psutil.Process(pid) if pid > 0 else None
        return process.create_time() if process and is_alive(process) else None
    except psutil.NoSuchProcess:
        return None


class NotSupervisord(OSError):
    """Something listens in supervisord's place and does not speak as it does."""


class _OverSocket(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket, with a deadline: a frozen supervisord must not freeze the lab."""

    def __init__(self, control: Path, within_s: float) -> None:
        super().__init__()
        self._control = control
        self._within_s = within_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _SocketConnection(str(host), self._control, self._within_s)
        self._connection = host, connection  # as the parent does: `close` closes it
        return connection

    def parse_response(self, response: Any) -> Any:
        """The answer; NotSupervisord if it is longer than any of its answers."""
        body = response.read(_LONGEST_ANSWER + 1)
        if len(body) > _LONGEST_ANSWER:
            raise NotSupervisord("what listens as supervisord does not stop talking")
        parser, unmarshaller = self.getparser()
        parser.feed(body)
        parser.close()
        return unmarshaller.close()


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, host: str, control: Path, within_s: float) -> None:
        super().__init__(host, timeout=within_s)
        self._control = control
        self._deadline: threading.Timer | None = None

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._control))
        # A deadline for each read would let an answer go on for ever.
        self._deadline = threading.Timer(float(self.timeout or _CALL_WITHIN_S), _shut, [self.sock])
        self._deadline.daemon = True
        self._deadline.start()

    def close(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        super().close()


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _private(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as trouble:
        raise NotWritable(f"cannot create {folder}: {trouble.strerror}") from trouble
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise NotWritable(f"{folder} is not a folder of this user alone", next_step=f"remove it: rm -r {folder}")
    return folder


def _program(root: Path, process: Process) -> str:
    environment = ",".join(f"{name}={_quote(value)}" for name, value in sorted(process.env.items()))
    return _PROGRAM.format(
        name=process.name,
        command=_escape(shlex.join(process.argv)),
        root=_escape(str(root)),
        environment=_escape(environment),
        order=max(0, process.order),
    )


def _quote(value: str) -> str:
    if why := unwritable(value, quoted=True):
        raise StartFailed(f"supervisord's file cannot hold the environment value {value!r}: {why}")
    mark = "'" if '"' in value else '"'
    return f"{mark}{value}{mark}"


def _escape(value: str) -> str:
    """A value for the supervisor's file, where % starts an expansion."""
    if why := unwritable(value):
        raise StartFailed(f"supervisord's file cannot hold {value!r}: {why}")
    return value.replace("%", "%%")


async def settled(supervisor: Supervisor, names: frozenset[str], deadline_s: float = 5.0) -> None:
    """Wait until the supervisor has noticed that these processes ended."""
    until = time.monotonic() + deadline_s
    while True:
        running = [name for name, pid in (await supervisor.all()).items() if pid and name in names]
        if not running:
            return
        if time.monotonic() > until:
            raise TimedOut(f"supervisord still counts as running after {deadline_s} s: {', '.join(running)}")
        await asyncio.sleep(0.005)
