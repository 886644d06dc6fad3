"""A home of its own for each test, a lab of the example subject, and the check that nothing survives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from operatorlab.deploy.boundary import CHOICE, Choice, Kind, detect
from operatorlab.deploy.ports import reserve
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.registry import find_subject
from operatorlab.subject import Subject

HERE = Path(__file__).parent


def started_below(folder: Path) -> list[str]:
    """The processes that belong to labs in `folder`, whichever they are: by environment, or by where they work."""
    found = []
    for process in psutil.process_iter():
        try:
            system = process.environ().get("OPERATORLAB_SYSTEM") or process.cwd()
            if folder in Path(system).parents and process.pid != os.getpid():
                found.append(f"{process.pid} {process.cmdline()}")
        except psutil.Error:
            continue
    return found


@pytest.fixture(autouse=True)
def lab_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`OPERATORLAB_HOME` of this test; fails the test if a process of a lab in it survives."""
    home = tmp_path / "home"
    monkeypatch.setenv("OPERATORLAB_HOME", str(home))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-not-for-the-lab")
    yield home
    assert not started_below(home)


@pytest.fixture(scope="session")
def example() -> Subject:
    return find_subject(HERE / "example")


@pytest.fixture(
    params=[
        Choice.NONE,
        pytest.param(
            Choice.REQUIRED, marks=pytest.mark.skipif(detect().kind is Kind.NONE, reason=f"no boundary: {detect().why}")
        ),
    ]
)
def boundary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each boundary that this machine allows; every lab of the test has it."""
    monkeypatch.setenv(CHOICE, request.param)
    return str(request.param)


@pytest.fixture
def by_operator() -> Callable[..., Awaitable[str]]:
    """Runs a command as an operator does; what it printed."""

    async def run(lab: ProcessDeployment, command: str) -> str:
        async with lab.sandbox(lab.folder / "audit.db") as sandbox:
            done = await sandbox.exec(command, 30)
        return done.stdout + done.stderr

    return run


@pytest.fixture
async def lab(example: Subject, boundary: str) -> AsyncIterator[ProcessDeployment]:
    """The example, up."""
    deployment = await ProcessDeployment.up(example)
    yield deployment
    await deployment.down()


@pytest.fixture
def unused_port() -> int:
    """A port that nobody uses, and that no outgoing connection is given."""
    reservation = reserve(["it"], {})
    reservation.release()
    return reservation.ports["it"]


@pytest.fixture
def get() -> Callable[..., Awaitable[tuple[int, str]]]:
    """GET a path of a member over HTTP: status and body."""

    async def ask(lab: ProcessDeployment, member: str, path: str, timeout_s: float = 5) -> tuple[int, str]:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(*lab.address(member))
            try:
                writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
            finally:
                writer.close()
        return int(head.split()[1]), body

    return ask
