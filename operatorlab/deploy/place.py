"""Where the processes of a lab run, as the harness deals with it: on this machine, or inside a boundary.

A place says how files are reached, how processes are started and found, and who listens where.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import psutil

from operatorlab.deploy import link
from operatorlab.deploy.beneath import Beneath
from operatorlab.deploy.children import reap, remember
from operatorlab.deploy.ports import LOOPBACK

SUPERVISOR_LOG = Path("log/supervisord.log")


class Place(Protocol):
    """See the module. Pids are those of this side."""

    @property
    def root(self) -> Path:
        """The operator's folder, as the lab's processes call it."""
        ...

    @property
    def files(self) -> Beneath:
        """The same folder, as the harness reaches it. OSError if the place is gone."""
        ...

    @property
    def socket(self) -> Path:
        """Where the supervisor listens, as the lab's processes call it."""
        ...

    @property
    def relay(self) -> Path:
        """The program of a link, as the lab's processes call it."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """What the lab's processes, its operator's among them, have in their environment."""
        ...

    def control(self) -> contextlib.AbstractContextManager[Path]:
        """The supervisor's socket, as the harness reaches it. OSError if there is none."""
        ...

    def remove_control(self) -> None:
        """Remove what a supervisor leaves when it is killed."""
        ...

    def clear(self) -> None:
        """Empty every other place that an operator can write to."""
        ...

    def start(self, argv: Sequence[str]) -> int:
        """Start a program that outlives this process; its pid. What it prints goes to the supervisor's log."""
        ...

    def pid(self, called: int) -> int:
        """The pid of the process that the lab's processes call so; 0 if it is none of theirs."""
        ...

    async def accepts(self, port: int) -> bool:
        """Whether somebody listens on `port`."""
        ...

    def listens(self, pid: int, port: int, *, family: bool = True) -> bool:
        """Whether the process, or with `family` one that it started, is who listens on `port`."""
        ...


def remove_socket(socket: Path) -> None:
    """Remove what a supervisor on this machine leaves when it is killed."""
    socket.unlink(missing_ok=True)
    socket.with_name(socket.name + ".pid").unlink(missing_ok=True)


class Here:
    """This machine, as it is."""

    relay = Path(link.__file__)

    def __init__(self, root: Path, socket: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self.socket = socket
        self.environment = environment
        self.files = Beneath(root)

    @contextlib.contextmanager
    def control(self) -> Iterator[Path]:
        yield self.socket

    def remove_control(self) -> None:
        remove_socket(self.socket)

    def clear(self) -> None:
        """Nothing: what else this user can write to is the user's."""

    def start(self, argv: Sequence[str]) -> int:
        reap()
        with (self.root / SUPERVISOR_LOG).open("ab") as log:
            child = subprocess.Popen(
                argv, cwd=self.root, env=dict(self.environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        remember(child)
        return child.pid

    def pid(self, called: int) -> int:
        return called

    async def accepts(self, port: int) -> bool:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            return False
        writer.close()
        return True

    def listens(self, pid: int, port: int, *, family: bool = True) -> bool:
        try:
            process = psutil.Process(pid)
            return any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                for one in [process, *(process.children(recursive=True) if family else ())]
                for connection in one.net_connections(kind="tcp")
            )
        except psutil.Error:
            return False
