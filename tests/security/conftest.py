"""A harness with something to hide, a host with something to reach, and an operator inside a boundary."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from operatorlab.audit import AuditStore
from operatorlab.deploy.boundary import CHOICE, Choice, Kind, detect
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.registry import find_subject
from operatorlab.sandbox import ExecResult
from subjects.ratelimiter.subject import RateLimiter

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "tests/deploy/example"
Exec = Callable[..., Awaitable[ExecResult]]


@dataclass
class Host:
    """What is outside. `secret` is in every file, key and answer that nobody inside may read."""

    folder: Path
    secret: str = field(default_factory=lambda: f"SECRET{secrets.token_hex(8)}")
    reached: list[str] = field(default_factory=list)
    listeners: list[socket.socket] = field(default_factory=list)
    victim: int = 0

    @property
    def file(self) -> Path:
        return self.folder / "secret.txt"

    def listen(self, name: str, family: int, kind: int, address: object) -> socket.socket:
        one = socket.socket(family, kind)
        one.bind(address)
        one.setblocking(False)
        if kind == socket.SOCK_STREAM:
            one.listen()
        self.listeners.append(one)
        return one

    def heard(self) -> list[str]:
        """Which of the listeners were reached since."""
        found = []
        for one in self.listeners:
            try:
                one.accept()[0].close() if one.type == socket.SOCK_STREAM else one.recv(100)
            except BlockingIOError:
                continue
            found.append(str(one.getsockname()))
        return found


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with a secret file, listeners and a process; the harness has a key and a home with an audit file."""
    if (allowed := detect()).kind is Kind.NONE:
        pytest.skip(f"no boundary: {allowed.why}")
    host = Host(tmp_path_factory.mktemp("host"))
    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        environment.setenv("OPERATORLAB_HOME", str(host.folder / "home"))
        environment.setenv("ANTHROPIC_API_KEY", f"sk-ant-{host.secret}")
        environment.setenv(CHOICE, Choice.REQUIRED)
        host.folder.chmod(0o755)
        host.file.write_text(host.secret)
        host.file.chmod(0o644)
        with AuditStore() as store:
            store.begin_run("of-the-host", host.secret, "processes", "/nowhere")
        host.listen("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        host.listen("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        host.listen("abstract", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{host.secret}-not"[:20])
        host.listen("path", socket.AF_UNIX, socket.SOCK_STREAM, f"/tmp/{host.secret[:12]}.sock")
        stack.callback(Path(f"/tmp/{host.secret[:12]}.sock").unlink)
        victim = subprocess.Popen(["sleep", "3600"])
        host.victim = victim.pid
        yield host
        assert victim.poll() is None, "a process of the host was ended"
        victim.kill()
        victim.wait()
        for one in host.listeners:
            one.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(host: Host) -> AsyncIterator[ProcessDeployment]:
    """The rate limiter inside its boundary, shared by the tries that break nothing of it."""
    deployment = await ProcessDeployment.up(RateLimiter())
    yield deployment
    await deployment.down()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other(host: Host) -> AsyncIterator[ProcessDeployment]:
    """Another lab on the same machine, whose files hold the secret."""
    deployment = await ProcessDeployment.up(find_subject(EXAMPLE))
    deployment.place.files.write("etc/secret", host.secret)
    yield deployment
    await deployment.down()


@pytest_asyncio.fixture(loop_scope="module")
async def victim(host: Host) -> AsyncIterator[ProcessDeployment]:
    """A lab of its own for a try that may ruin it."""
    deployment = await ProcessDeployment.up(find_subject(EXAMPLE))
    yield deployment
    await deployment.down()


@pytest.fixture
def run() -> Exec:
    """Runs a command as the operator of a lab."""

    async def run(lab: ProcessDeployment, command: str, timeout_s: float = 20) -> ExecResult:
        async with lab.sandbox(lab.folder / "audit.db") as sandbox:
            return await sandbox.exec(command, timeout_s)

    return run


async def works(lab: ProcessDeployment) -> None:
    """Every member of the lab accepts, from outside."""
    for member in lab.subject.members:
        async with asyncio.timeout(10):
            _, writer = await asyncio.open_connection(*lab.address(member.name))
        writer.close()
    assert os.getpid() not in (lab.record.confined.pids() if lab.record.confined else [])
