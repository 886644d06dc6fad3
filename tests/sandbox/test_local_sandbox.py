"""The local sandbox against real processes."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from operatorlab.sandbox import LocalSandbox, SandboxGone

ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
NOTE_GROUP = "ps -o pgid= -p $$ > group"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[LocalSandbox]:
    box = LocalSandbox(tmp_path, ENVIRONMENT)
    yield box
    await box.close()


def alive_in(group: int) -> list[psutil.Process]:
    """Processes of the group that are not zombies."""
    members = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return members


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  processes and files of others signal no event
            await asyncio.sleep(0.02)


def written(path: Path) -> bool:
    """Whether a command wrote its line."""
    return path.exists() and path.read_text().endswith("\n")


async def group_of(folder: Path) -> int:
    """The process group of the command that notes it."""
    await until(lambda: written(folder / "group"))
    return int((folder / "group").read_text())


async def left_nothing(folder: Path) -> None:
    """A killed process takes a moment to leave the table; TimeoutError if it stays."""
    group = await group_of(folder)
    await until(lambda: not alive_in(group))


async def test_exit_code_and_both_streams_come_back(sandbox: LocalSandbox) -> None:
    result = await sandbox.exec("echo out; echo err >&2; exit 3", 10)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert not result.timed_out
    assert result.dropped_bytes == 0
    assert 0 < result.duration_s < 10


async def test_a_missing_program_is_a_result(sandbox: LocalSandbox) -> None:
    result = await sandbox.exec("no-such-program --at-all", 10)
    assert result.exit_code == 127
    assert "not found" in result.stderr


async def test_death_by_signal_is_told_as_shells_tell_it(sandbox: LocalSandbox) -> None:
    assert (await sandbox.exec("kill -9 $$", 10)).exit_code == 137


async def test_works_in_its_root_and_reads_no_input(sandbox: LocalSandbox, tmp_path: Path) -> None:
    result = await sandbox.exec("pwd; cat; echo end", 10)
    assert result.stdout == f"{tmp_path}\nend\n"


async def test_the_environment_is_what_was_handed_and_never_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-the-parent")
    monkeypatch.setenv("SOMETHING_ELSE", "of-the-parent")
    box = LocalSandbox(tmp_path, ENVIRONMENT | {"GIVEN": "yes", "ANTHROPIC_AUTH_TOKEN": "handed by mistake"})
    seen = (await box.exec("env", 10)).stdout
    assert "GIVEN=yes" in seen
    assert "ANTHROPIC" not in seen
    assert "of-the-parent" not in seen


async def test_a_time_out_ends_the_whole_group_and_keeps_what_was_printed(
    sandbox: LocalSandbox, tmp_path: Path
) -> None:
    result = await sandbox.exec(f"{NOTE_GROUP}; echo before; sleep 300 & sleep 300 | cat", 1)
    assert result.timed_out
    assert result.exit_code is None
    assert result.stdout == "before\n"
    await left_nothing(tmp_path)


async def test_a_command_that_ignores_being_asked_is_made_to_end(sandbox: LocalSandbox, tmp_path: Path) -> None:
    result = await sandbox.exec(f"{NOTE_GROUP}; trap '' TERM; while :; do sleep 0.1; done", 1)
    assert result.timed_out
    await left_nothing(tmp_path)
    assert result.duration_s < 10


async def test_cancelling_ends_the_whole_group(sandbox: LocalSandbox, tmp_path: Path) -> None:
    running = asyncio.create_task(sandbox.exec(f"{NOTE_GROUP}; sleep 300 & sleep 300", 100))
    group = await group_of(tmp_path)
    assert alive_in(group)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await left_nothing(tmp_path)


async def test_cancelling_at_any_moment_leaves_no_process(sandbox: LocalSandbox, tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in range(12):
        running = asyncio.create_task(sandbox.exec("exec sleep 271.828", 100))
        await asyncio.sleep(chance.uniform(0, 0.03))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    mine = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    assert [p.cmdline() for p in mine if "271.828" in " ".join(p.cmdline())] == []


async def test_a_background_child_that_keeps_the_output_open_hangs_nothing(
    sandbox: LocalSandbox, tmp_path: Path
) -> None:
    result = await sandbox.exec("sleep 200 & echo $! > pid; echo started", 60)
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    try:
        assert result.exit_code == 0
        assert result.stdout == "started\n"
        assert result.left_running
        assert result.duration_s < 30
        assert child.is_running()  # what an operator starts on purpose goes on
    finally:
        child.kill()


async def test_a_flood_is_cut_in_the_middle_in_bounded_memory(tmp_path: Path) -> None:
    box = LocalSandbox(tmp_path, ENVIRONMENT, kept_bytes=10_000)
    before = psutil.Process().memory_info().rss
    result = await box.exec("echo first; timeout 2 yes; echo last; echo complaint >&2", 30)
    grown = psutil.Process().memory_info().rss - before
    assert result.stdout.startswith("first\ny\n")
    assert result.stdout.endswith("y\nlast\n")
    assert result.stderr == "complaint\n"
    assert len(result.stdout) < 11_000
    assert result.dropped_bytes > 1_000_000
    assert f"[… {result.dropped_bytes} bytes dropped …]" in result.stdout
    assert grown < 50_000_000


async def test_bytes_that_are_no_text_are_replaced(sandbox: LocalSandbox) -> None:
    assert (await sandbox.exec(r"printf 'a\xff\xfeb'", 10)).stdout == "a��b"


async def test_a_command_bash_cannot_be_given_is_a_result(sandbox: LocalSandbox) -> None:
    assert (await sandbox.exec("echo a\0b", 10)).exit_code == 126
    assert (await sandbox.exec("echo \ud800", 10)).exit_code == 126
    assert (await sandbox.exec("#" * 3_000_000, 10)).exit_code == 126


async def test_a_folder_that_is_gone_is_no_result(tmp_path: Path) -> None:
    box = LocalSandbox(tmp_path / "lab", ENVIRONMENT)
    with pytest.raises(SandboxGone, match="lab is gone"):
        await box.exec("true", 10)


async def test_a_missing_bash_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(SandboxGone, match="no bash"):
        await LocalSandbox(tmp_path, {"PATH": str(tmp_path)}).exec("true", 10)


async def test_commands_run_side_by_side(sandbox: LocalSandbox) -> None:
    results = await asyncio.gather(*(sandbox.exec(f"sleep 0.2; echo {i}", 20) for i in range(5)))
    assert [r.stdout for r in results] == [f"{i}\n" for i in range(5)]


async def test_a_command_outlives_a_killed_operator_only_to_its_time_limit(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, sys; from pathlib import Path; from operatorlab.sandbox import LocalSandbox\n"
        "box = LocalSandbox(Path(sys.argv[1]), {'PATH': os.environ['PATH']})\n"
        f"asyncio.run(box.exec({NOTE_GROUP!r} + '; sleep 600', 2.0))"
    )
    operator = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(tmp_path))
    group = await group_of(tmp_path)
    operator.send_signal(signal.SIGKILL)
    await operator.wait()
    await until(lambda: not alive_in(group))


def test_it_never_claims_to_be_a_boundary(tmp_path: Path) -> None:
    assert not LocalSandbox(tmp_path, {}).isolated
