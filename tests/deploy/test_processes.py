"""A subject as real processes: up, broken and repaired member by member, and down without a trace."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from operatorlab import home
from operatorlab.deploy.boundary import CHOICE, Choice
from operatorlab.deploy.kin import kin
from operatorlab.deploy.labs import labs
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.errors import BadParameter, NotWritable, PortTaken, StartFailed, UnknownName
from operatorlab.registry import find_subject
from operatorlab.subject import Blueprint, MemberState, Process, Site, Subject

Get = Callable[..., Awaitable[tuple[int, str]]]

HERE = Path(__file__).parent


async def pid_of(lab: ProcessDeployment, process: str) -> int:
    """As this side calls it."""
    async with lab.sandbox(lab.folder / "audit.db") as sandbox:
        return lab.place.pid(int((await sandbox.exec(f"supervisorctl pid {process}", 30)).stdout))


async def test_up_means_that_every_member_answers(lab: ProcessDeployment, get: Get):
    assert await get(lab, "front", "/read") == (200, "1")
    assert await get(lab, "store", "/live") == (200, "I am the store")
    assert [await lab.state(name) for name in ("store", "front")] == [MemberState.RUNNING] * 2


async def test_the_record_says_whose_it_is(lab: ProcessDeployment):
    [record] = labs()
    assert (record.run_id, record.subject, record.state) == (lab.run_id, "example", "up")
    assert record.folder == home.runs() / lab.run_id == lab.folder
    assert record.outside == lab.root
    assert (record.owner_pid, record.owner_alive, record.running, record.dead) == (os.getpid(), True, True, False)
    assert record.ports["front"] == lab.address("front")[1]


async def test_kill_start(lab: ProcessDeployment, get: Get):
    await lab.kill("store")
    assert await lab.state("store") is MemberState.STOPPED
    assert (await get(lab, "front", "/read"))[0] == 503
    await lab.kill("store")
    await lab.stop("store")
    await lab.start("store")
    assert await get(lab, "front", "/read") == (200, "1"), "accepts as soon as start returns"
    await lab.start("store")
    assert await get(lab, "front", "/read") == (200, "2"), "starting a running one does nothing"


async def test_pause_resume(lab: ProcessDeployment, get: Get):
    await lab.pause("front")
    assert await lab.state("front") is MemberState.PAUSED
    with pytest.raises(TimeoutError):
        await get(lab, "front", "/live", timeout_s=0.3)
    await lab.resume("front")
    assert await lab.state("front") is MemberState.RUNNING
    assert await get(lab, "front", "/live") == (200, "I am the front")
    await lab.pause("front")
    await lab.start("front")
    assert await lab.state("front") is MemberState.RUNNING


async def test_a_paused_member_can_be_stopped_and_killed(lab: ProcessDeployment):
    for end in (lab.stop, lab.kill):
        await lab.pause("front")
        await asyncio.wait_for(end("front"), 5)
        assert await lab.state("front") is MemberState.STOPPED
        await lab.start("front")


async def test_a_stopped_member_cannot_be_paused_and_stays_stopped_when_resumed(lab: ProcessDeployment):
    await lab.stop("front")
    with pytest.raises(BadParameter, match="front is stopped"):
        await lab.pause("front")
    await lab.resume("front")
    assert await lab.state("front") is MemberState.STOPPED


async def test_unknown_members_and_links_are_told(lab: ProcessDeployment):
    with pytest.raises(UnknownName, match="did you mean 'front'"):
        lab.address("fornt")
    for deed in (lab.state, lab.start, lab.stop, lab.kill, lab.pause, lab.resume):
        with pytest.raises(UnknownName, match="no member is called 'link-front'"):
            await deed("link-front")
    with pytest.raises(UnknownName, match="there is front to store"):
        await lab.cut("store", "front")
    with pytest.raises(BadParameter, match="does not fit"):
        await lab.delay("front", "store", -1)


async def test_cut_and_mend(lab: ProcessDeployment, get: Get):
    assert not await lab.is_cut("front", "store")
    await lab.cut("front", "store")
    assert await lab.is_cut("front", "store")
    status, why = await get(lab, "front", "/read")
    assert (status, why) == (503, "TimeoutError()"), "the path is silent, not refusing"
    assert (await get(lab, "store", "/live"))[0] == 200, "the address of a member is past the link"
    await lab.delay("front", "store", 0.1)
    assert await lab.is_cut("front", "store"), "a delay does not mend"
    await lab.mend("front", "store")
    assert not await lab.is_cut("front", "store")
    assert (await get(lab, "front", "/read"))[0] == 200


async def test_delay(lab: ProcessDeployment, get: Get):
    await lab.delay("front", "store", 0.15)
    began = asyncio.get_running_loop().time()
    assert (await get(lab, "front", "/read"))[0] == 200
    assert asyncio.get_running_loop().time() - began >= 0.3
    await lab.mend("front", "store")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_mend_brings_back_a_link_that_an_operator_broke(lab: ProcessDeployment, number: signal.Signals, get: Get):
    await lab.cut("front", "store")
    os.kill(await pid_of(lab, "link-front"), number)
    (lab.root / "etc/links/front-store.json").write_text("broken")
    await lab.mend("front", "store")
    assert (await get(lab, "front", "/read"))[0] == 200


async def test_mend_tells_who_has_the_port_of_a_link(lab: ProcessDeployment, get: Get):
    port = lab.record.ports["front-store"]
    thief = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(600)"
    async with lab.sandbox(lab.folder / "audit.db") as sandbox:
        stolen = await sandbox.exec(
            f'supervisorctl stop link-front && {{ python3 -c "{thief}" & }} && '
            f"until ss -Hltn | grep -q :{port}; do sleep 0.05; done",
            30,
        )
        assert stolen.exit_code == 0, stolen
        with pytest.raises(StartFailed, match=rf"port {port} \(front-store\) is held by something else(.|\n)*ss -ltnp"):
            await lab.mend("front", "store")
        await sandbox.exec("pkill -f socket.create_server", 30)
    await lab.mend("front", "store")
    assert (await get(lab, "front", "/read"))[0] == 200


async def test_any_process_can_attach(lab: ProcessDeployment):
    code = f"""if True:
        import asyncio
        from operatorlab.deploy.processes import ProcessDeployment
        lab = ProcessDeployment.attach({lab.run_id!r})
        asyncio.run(lab.kill("store"))
        print(lab.subject_name, *lab.address("store"))"""
    told = await asyncio.to_thread(subprocess.check_output, [sys.executable, "-c", code], text=True)
    assert told.split() == ["example", *map(str, lab.address("store"))]
    assert await lab.state("store") is MemberState.STOPPED


def test_attaching_to_nothing_is_told():
    for name in ("nothing", "", "../runs", "."):
        with pytest.raises(UnknownName, match="no lab is called"):
            ProcessDeployment.attach(name)


async def test_the_environment_is_small_and_has_no_keys(lab: ProcessDeployment):
    ours = lab.environment()
    assert ours["PATH"].startswith(f"{lab.record.root}/bin:")
    assert ours["HOME"] == str(lab.record.root)
    for process in kin(lab.record):
        there = process.environ()
        assert there.get("OPERATORLAB_RUN") == lab.run_id or process.name() == "sleep"
        assert not [name for name in there if "ANTHROPIC" in name or "KEY" in name or "PYTEST" in name]
        shown = " ".join([*process.cmdline(), *there.values()])
        assert not [fault.name for fault in lab.subject.faults if fault.name in shown]
    front = psutil.Process(await pid_of(lab, "front")).environ()
    assert front["COLOUR"] == "50% red, 50% green"


async def test_the_operator_finds_its_tools(lab: ProcessDeployment, by_operator: Callable[..., Awaitable[str]]):
    status = await by_operator(lab, "supervisorctl status")
    assert [line.split()[:2] for line in status.splitlines()] == [
        ["front", "RUNNING"], ["link-front", "RUNNING"], ["store", "RUNNING"],
    ]  # fmt: skip
    assert "redis-cli" in await by_operator(lab, "redis-cli --version")
    assert "I am the store" in await by_operator(lab, "cat log/store.log")
    assert "Python 3" in await by_operator(lab, "python3 --version")
    assert (lab.root / "log/link-front.log").read_text().count("passing all traffic between front and store") == 1


async def test_two_labs_side_by_side(lab: ProcessDeployment, example: Subject, get: Get):
    other = await ProcessDeployment.up(example)
    try:
        assert not set(other.record.ports.values()) & set(lab.record.ports.values())
        await other.kill("store")
        await other.reset()
        assert await get(lab, "front", "/read") == (200, "1")
        assert await get(other, "front", "/read") == (200, "1")
    finally:
        await other.down()
    assert await get(lab, "front", "/read") == (200, "2")


async def test_down_leaves_the_record_and_the_logs(example: Subject, boundary: str):
    lab = await ProcessDeployment.up(example)
    await lab.pause("front")
    control = lab.record.socket
    family = kin(lab.record)
    await lab.down()
    assert not kin(lab.record)
    assert not [process for process in family if process.is_running()], "not even a zombie"
    assert sorted(path.name for path in lab.record.root.iterdir()) == ["log"]
    assert sorted(path.name for path in lab.folder.iterdir()) == ["lab.json", "system"]
    assert not list(control.parent.glob(f"{control.name}*"))
    assert not labs()
    await lab.down()
    with pytest.raises(BadParameter, match="was taken down"):
        ProcessDeployment.attach(lab.run_id)


async def test_what_an_operator_started_by_hand_goes_too(lab: ProcessDeployment):
    shell = ("sh", "-c", "sleep 600 & sleep 600")
    stray = await asyncio.create_subprocess_exec(*shell, env=lab.environment(), cwd="/")
    await lab.down()
    assert await stray.wait() == -signal.SIGKILL


# ── bad input ──────────────────────────────────────────────────────────────────────────────────


async def test_a_port_that_is_taken_is_told_and_nothing_is_left(example: Subject, boundary: str):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port}, asked for as 'store'"):
            await ProcessDeployment.up(example, ports={"store": port})
    assert not labs()


async def test_a_wanted_port_is_used(example: Subject, unused_port: int):
    lab = await ProcessDeployment.up(example, ports={"store": unused_port})
    try:
        assert lab.address("store") == ("127.0.0.1", unused_port)
    finally:
        await lab.down()


async def test_a_port_grabbed_in_between_is_replaced(get: Get, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(CHOICE, Choice.NONE)  # inside a boundary nobody else can have it
    told: list[str] = []
    lab = await ProcessDeployment.up(find_subject(HERE / "grabbing"), progress=told.append)
    try:
        assert await get(lab, "victim", "/live") == (200, "hello")
        assert [line for line in told if "was taken meanwhile" in line]
    finally:
        await lab.down()


async def test_a_wanted_port_grabbed_in_between_is_told(unused_port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(CHOICE, Choice.NONE)
    with pytest.raises(PortTaken, match=f"port {unused_port}, asked for as 'victim'"):
        await ProcessDeployment.up(find_subject(HERE / "grabbing"), ports={"victim": unused_port})
    assert not labs()


async def test_a_process_that_dies_at_start_is_told_with_its_log(example: Subject, boundary: str):
    class DeadOnArrival(type(example)):
        def blueprint(self, site: Site) -> Blueprint:
            good = super().blueprint(site)
            front = Process("front", (sys.executable, "-c", "raise SystemExit('no such setting')"), order=1)
            return dataclasses.replace(good, processes=(good.processes[0], front))

    with pytest.raises(StartFailed, match=r"front exited at once(.|\n)*no such setting"):
        await ProcessDeployment.up(DeadOnArrival())
    assert not labs()


async def test_no_permission_to_write_is_told(example: Subject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", Path("/proc/lab")):
        monkeypatch.setenv("OPERATORLAB_HOME", str(place))
        with pytest.raises(NotWritable, match="cannot create") as told:
            await ProcessDeployment.up(example)
        assert "OPERATORLAB_HOME" in told.value.next_step


async def test_a_run_id_is_used_once_and_must_be_a_name(lab: ProcessDeployment, example: Subject, get: Get):
    with pytest.raises(BadParameter, match="there is a lab"):
        await ProcessDeployment.up(example, run_id=lab.run_id)
    for name in ("../out", "a/b", ".hidden"):
        with pytest.raises(BadParameter, match="cannot be a run id"):
            await ProcessDeployment.up(example, run_id=name)
    assert await get(lab, "front", "/read") == (200, "1")


async def test_being_cancelled_on_the_way_up_leaves_nothing(example: Subject, boundary: str):
    halfway = asyncio.Event()
    rising = asyncio.create_task(ProcessDeployment.up(example, progress=lambda _: halfway.set()))
    await halfway.wait()
    rising.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rising
    assert not labs()
