"""The sandbox of a container against the real daemon and a container of the operator's own image."""

import asyncio
import random
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from docker.errors import NotFound

from operatorlab.deploy.compose.engine import find_daemon, socket_of
from operatorlab.deploy.compose.stack import AGENT_IMAGE
from operatorlab.sandbox import SandboxGone
from operatorlab.sandbox.docker import DockerSandbox


@pytest.fixture
def container(containers, docker_engine):
    """A container with a shell, without a network."""
    made = docker_engine.containers.run(
        AGENT_IMAGE,
        name=f"sandbox-{secrets.token_hex(4)}",
        detach=True,
        init=True,
        network_mode="none",
        cap_drop=["ALL"],
        tmpfs={"/lab": "size=16m"},
    )
    yield made
    with suppress(NotFound):
        made.remove(force=True)


@pytest.fixture
async def sandbox(container) -> AsyncIterator[DockerSandbox]:
    async with DockerSandbox(socket_of(find_daemon()), container.id) as box:
        yield box


def running(container, what: str) -> list[str]:
    """The command lines in the container that contain `what`."""
    rows = container.top(ps_args="-eo pid,stat,args")["Processes"] or []
    return [row[2] for row in rows if what in row[2] and not row[1].startswith("Z")]


async def until(true) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(true):  # noqa: ASYNC110  processes of others signal no event
            await asyncio.sleep(0.05)


async def test_exit_code_and_both_streams_come_back(sandbox):
    result = await sandbox.exec("echo out; echo err >&2; exit 3", 10)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert not result.timed_out
    assert result.dropped_bytes == 0
    assert 0 < result.duration_s < 10
    assert sandbox.isolated


async def test_a_missing_program_and_a_death_by_signal_are_results(sandbox):
    missing = await sandbox.exec("no-such-program --at-all", 10)
    assert missing.exit_code == 127
    assert "not found" in missing.stderr
    assert (await sandbox.exec("kill -9 $$", 10)).exit_code == 137


async def test_it_works_in_the_containers_folder_and_reads_no_input(sandbox):
    assert (await sandbox.exec("pwd; cat; echo end", 10)).stdout == "/lab\nend\n"


async def test_nothing_of_this_processs_environment_is_seen(sandbox, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-the-parent")
    assert "of-the-parent" not in (await sandbox.exec("env", 10)).stdout


@pytest.mark.parametrize(
    "command",
    [
        "sleep 271.828 & sleep 271.828 | cat",
        "trap '' TERM; while :; do sleep 271.828; done",
        "(trap '' TERM; exec sleep 271.828) & sleep 271.828",
        "setsid sleep 271.828 & setsid -f sleep 271.828; sleep 271.828",
    ],
    ids=["a pipeline", "that ignores being asked", "a child that ignores being asked", "children in other sessions"],
)
async def test_a_time_out_ends_all_of_it_and_keeps_what_was_printed(sandbox, container, command):
    result = await sandbox.exec(f"echo before; {command}", 0.5)
    assert result.timed_out
    assert result.exit_code is None
    assert result.stdout == "before\n"
    assert result.duration_s < 5
    assert running(container, "271.828") == []


async def test_cancelling_ends_all_of_it(sandbox, container):
    task = asyncio.create_task(sandbox.exec("setsid sleep 271.828 & trap '' TERM; sleep 271.828", 100))
    await until(lambda: len(running(container, "sleep 271.828")) >= 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running(container, "271.828") == []


async def test_cancelling_at_any_moment_leaves_no_process(sandbox, container):
    chance = random.Random(7)
    for _ in range(12):
        task = asyncio.create_task(sandbox.exec("exec sleep 271.828", 100))
        await asyncio.sleep(chance.uniform(0, 0.25))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert running(container, "271.828") == []


async def test_a_command_that_closed_its_output_is_waited_for(sandbox):
    result = await sandbox.exec("echo said; exec >&- 2>&-; sleep 1; exit 3", 10)
    assert (result.exit_code, result.stdout) == (3, "said\n")


async def test_a_command_that_closed_its_output_still_has_a_time_limit(sandbox, container):
    result = await sandbox.exec("exec >&- 2>&-; trap '' TERM; sleep 271.828", 0.5)
    assert result.timed_out
    assert running(container, "271.828") == []


async def test_a_background_child_that_keeps_the_output_open_hangs_nothing(sandbox, container):
    result = await sandbox.exec("sleep 271.828 & echo started", 60)
    assert (result.exit_code, result.stdout, result.timed_out) == (0, "started\n", False)
    assert result.duration_s < 10
    assert running(container, "271.828"), "what an operator starts on purpose goes on"


async def test_a_flood_is_cut_in_the_middle_in_bounded_memory(container):
    box = DockerSandbox(socket_of(find_daemon()), container.id, kept_bytes=10_000)
    before = psutil.Process().memory_info().rss
    async with box:
        result = await box.exec("echo first; timeout 1 yes; echo last; echo complaint >&2", 30)
    grown = psutil.Process().memory_info().rss - before
    assert result.stdout.startswith("first\ny\n")
    assert result.stdout.endswith("y\nlast\n")
    assert result.stderr == "complaint\n"
    assert len(result.stdout) < 11_000
    assert result.dropped_bytes > 1_000_000
    assert grown < 50_000_000


async def test_bytes_that_are_no_text_are_replaced(sandbox):
    assert (await sandbox.exec(r"printf 'a\xff\xfeb'", 10)).stdout == "a��b"


async def test_a_command_bash_cannot_be_given_is_a_result(sandbox):
    for command in ("echo a\0b", "echo \ud800", "#" * 3_000_000):
        assert (await sandbox.exec(command, 10)).exit_code == 126
    assert (await sandbox.exec("#" * 100_000, 10)).exit_code == 0


@pytest.mark.parametrize("deed", ["kill", "pause", "remove"])
async def test_a_container_that_is_not_there_before_is_no_result(sandbox, container, deed):
    container.remove(force=True) if deed == "remove" else getattr(container, deed)()
    with pytest.raises(SandboxGone):
        await sandbox.exec("true", 10)


@pytest.mark.parametrize("deed", ["kill", "remove"])
async def test_a_container_that_ends_under_a_command_is_no_result(sandbox, container, deed):
    task = asyncio.create_task(sandbox.exec("echo begun; sleep 271.828", 100))
    await until(lambda: running(container, "271.828"))
    await asyncio.to_thread(lambda: container.remove(force=True) if deed == "remove" else container.kill())
    with pytest.raises(SandboxGone):
        async with asyncio.timeout(20):
            await task


async def test_a_container_that_is_frozen_under_a_command_is_no_result(sandbox, container):
    task = asyncio.create_task(sandbox.exec("echo begun; sleep 271.828", 1.0))
    await until(lambda: running(container, "271.828"))
    container.pause()
    with pytest.raises(SandboxGone):
        async with asyncio.timeout(30):
            await task


async def test_a_daemon_that_is_not_there_is_no_result(tmp_path: Path):
    async with DockerSandbox(tmp_path / "docker.sock", "any") as box:
        with pytest.raises(SandboxGone, match="daemon went away"):
            await box.exec("true", 10)


async def test_a_daemon_that_goes_in_the_middle_is_no_result(tmp_path: Path):
    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_unix_server(hang_up, tmp_path / "docker.sock")
    async with server, DockerSandbox(tmp_path / "docker.sock", "any") as box:
        with pytest.raises(SandboxGone, match="daemon went away"):
            await box.exec("true", 10)


async def test_commands_run_side_by_side(sandbox):
    results = await asyncio.gather(*(sandbox.exec(f"sleep 0.2; echo {i}", 60) for i in range(20)))
    assert [result.stdout for result in results] == [f"{i}\n" for i in range(20)]
    assert socket.gethostname() not in (await sandbox.exec("hostname", 10)).stdout
