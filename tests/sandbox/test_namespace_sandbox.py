"""The shell inside a boundary behaves as the local one does, and ends what it started inside."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from operatorlab.deploy.boundary import Kind, detect
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.registry import find_subject
from operatorlab.sandbox import NamespaceSandbox, SandboxGone

EXAMPLE = Path(__file__).parents[1] / "deploy/example"
pytestmark = pytest.mark.skipif(detect().kind is Kind.NONE, reason=f"no boundary: {detect().why}")


@pytest.fixture
async def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProcessDeployment]:
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-the-harness")
    deployment = await ProcessDeployment.up(find_subject(EXAMPLE), boundary="required")
    yield deployment
    await deployment.down()


@pytest.fixture
async def sandbox(lab: ProcessDeployment) -> AsyncIterator[NamespaceSandbox]:
    async with lab.sandbox(lab.folder / "audit.db") as box:
        assert isinstance(box, NamespaceSandbox)
        yield box


async def asleep(sandbox: NamespaceSandbox) -> str:
    """The sleeping processes inside, but for the first one."""
    return (await sandbox.exec("pgrep -a sleep | grep -v infinity", 10)).stdout


async def test_codes_streams_and_signals_are_told_as_a_shell_tells_them(sandbox: NamespaceSandbox) -> None:
    assert sandbox.isolated
    result = await sandbox.exec("pwd; echo err >&2; cat; exit 3", 10)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "/lab\n", "err\n")
    assert (await sandbox.exec("kill -9 $$", 10)).exit_code == 137
    assert (await sandbox.exec("no-such-program", 10)).exit_code == 127
    assert (await sandbox.exec("#" * 3_000_000, 10)).exit_code == 126
    assert "of-the-harness" not in (await sandbox.exec("env", 10)).stdout


async def test_a_flood_is_cut_in_the_middle(sandbox: NamespaceSandbox) -> None:
    result = await sandbox.exec("echo first; yes | head -c 10000000; echo last", 30)
    assert result.stdout.startswith("first\n")
    assert result.stdout.endswith("last\n")
    assert result.dropped_bytes > 9_000_000


@pytest.mark.parametrize("command", ["sleep 300 & sleep 300 | cat", "trap '' TERM; while :; do sleep 0.1; done"])
async def test_a_time_out_ends_all_of_it_inside(sandbox: NamespaceSandbox, command: str) -> None:
    result = await sandbox.exec(f"echo before; {command}", 1)
    assert (result.timed_out, result.exit_code, result.stdout) == (True, None, "before\n")
    assert await asleep(sandbox) == ""


async def test_cancelling_at_any_moment_leaves_no_process_inside(sandbox: NamespaceSandbox) -> None:
    chance = random.Random(7)
    for _ in range(12):
        running = asyncio.create_task(sandbox.exec("sleep 300 & sleep 301", 100))
        await asyncio.sleep(chance.uniform(0, 0.06))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert await asleep(sandbox) == ""


async def test_what_is_left_in_the_background_goes_on(sandbox: NamespaceSandbox) -> None:
    result = await sandbox.exec("sleep 200 & echo started", 60)
    assert (result.exit_code, result.stdout, result.left_running) == (0, "started\n", True)
    assert "sleep 200" in await asleep(sandbox)


async def test_a_lab_that_is_down_is_no_result(lab: ProcessDeployment, sandbox: NamespaceSandbox) -> None:
    await lab.down()
    with pytest.raises(SandboxGone):
        await sandbox.exec("true", 10)
