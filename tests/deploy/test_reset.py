"""A reset makes a lab as new, byte for byte, whatever was done to it, and keeps supervisord warm."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from operatorlab.deploy.kin import alive, kin
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.deploy.records import read_record

Get = Callable[..., Awaitable[tuple[int, str]]]
Run = Callable[..., Awaitable[str]]


def written(root: Path) -> dict[str, bytes]:
    """Every file of the system, but for the logs' text and the pids that are in it."""
    found = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root)
        found[str(name)] = b"" if name.parts[0] == "log" or name.name == "applied.json" else path.read_bytes()
    return found


async def test_edits_data_logs_and_rules_are_as_new(lab: ProcessDeployment, get: Get):
    before = written(lab.root)
    supervisor = read_record(lab.run_id).supervisor_pid
    for _ in range(3):
        await get(lab, "front", "/read")
    await lab.cut("front", "store")
    await lab.pause("store")
    (lab.root / "etc/store.json").write_text('{"greeting": "I was edited"}')
    (lab.root / "etc/front.json").unlink()
    (lab.root / "etc/notes").mkdir()
    (lab.root / "data/store/junk").write_text("junk")
    (lab.root / "bin/python").unlink()
    (lab.root / "log/store.log").write_text("I was here")
    await lab.reset()
    assert written(lab.root) == before
    assert await get(lab, "front", "/read") == (200, "1"), "the store counts from the start"
    assert not await lab.is_cut("front", "store")
    assert "I was here" not in (lab.root / "log/store.log").read_text()
    assert read_record(lab.run_id).supervisor_pid == supervisor, "supervisord is kept warm"


async def test_a_changed_configuration_of_supervisord_is_undone(lab: ProcessDeployment, get: Get, by_operator: Run):
    conf = lab.root / "etc/supervisord.conf"
    text = conf.read_text()
    rogue = "\n[program:rogue]\ncommand=sleep 600\n"
    conf.write_text(text.replace("server.py etc/store.json", "server.py etc/none.json") + rogue)
    await by_operator(lab, "supervisorctl stop all; supervisorctl update; supervisorctl remove front")
    await lab.reset()
    assert conf.read_text() == text
    assert await get(lab, "front", "/read") == (200, "1")
    assert "rogue" not in await by_operator(lab, "supervisorctl status")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
async def test_a_supervisord_that_an_operator_broke_is_replaced(
    lab: ProcessDeployment, get: Get, number: signal.Signals
):
    record = read_record(lab.run_id)
    pid = record.supervisor_pid
    assert pid
    os.kill(pid, number)
    while number is signal.SIGTERM and alive(pid, record.supervisor_started):  # noqa: ASYNC110  it may be nobody's child here
        await asyncio.sleep(0.01)
    await lab.reset()
    assert read_record(lab.run_id).supervisor_pid != pid
    assert await get(lab, "front", "/read") == (200, "1")


async def test_starting_a_member_replaces_a_supervisord_that_is_gone(
    lab: ProcessDeployment, get: Get, by_operator: Run
):
    await get(lab, "front", "/read")
    await by_operator(lab, "supervisorctl shutdown")
    await lab.start("front")
    assert await get(lab, "front", "/read") == (200, "1")
    assert [process.name() for process in kin(lab.record)].count("supervisord") <= 1


async def test_a_member_can_start_though_an_operator_runs_one_by_hand(
    lab: ProcessDeployment, get: Get, by_operator: Run
):
    await lab.kill("store")
    line = next(x for x in (lab.root / "etc/supervisord.conf").read_text().splitlines() if "etc/store.json" in x)
    command = line.removeprefix("command=")
    await by_operator(lab, f"{command} 2> tmp & until grep -q serving tmp; do :; done; echo $! > by-hand")
    await lab.start("store")
    called = (lab.root / "by-hand").read_text().strip()
    state = await by_operator(lab, f"grep State: /proc/{called}/status")
    assert "zombie" in state or "No such file" in state
    assert await get(lab, "front", "/read") == (200, "1")


async def test_what_an_operator_left_running_ends_and_what_is_spared_lives(lab: ProcessDeployment):
    stray, load = [
        await asyncio.create_subprocess_exec("sleep", "600", env=lab.environment(), cwd="/") for _ in range(2)
    ]
    await lab.reset(spare={load.pid})
    assert await stray.wait() == -signal.SIGKILL
    assert load.returncode is None
    load.kill()
    await load.wait()


async def test_a_folder_that_an_operator_removed_comes_back(lab: ProcessDeployment, get: Get):
    before = written(lab.root)
    for name in ("etc", "data", "bin"):
        shutil.rmtree(lab.root / name)
    await lab.reset()
    assert written(lab.root) == before
    assert await get(lab, "front", "/read") == (200, "1")
