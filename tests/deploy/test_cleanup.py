"""What a dead lab left is found by its run id and removed; living labs are never touched."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from operatorlab.deploy.kin import kin
from operatorlab.deploy.labs import cleanup, labs, the_lab
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.deploy.records import LabRecord, read_record
from operatorlab.errors import BadParameter, EnvironmentTrouble, UnknownName
from operatorlab.subject import Subject

Get = Callable[..., Awaitable[tuple[int, str]]]
_OWNER = """
import asyncio, sys
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.registry import find_subject
async def own():
    lab = await ProcessDeployment.up(find_subject(sys.argv[1]), keep=sys.argv[2] == "keep")
    await lab.pause("store")
    print(lab.run_id, flush=True)
    await asyncio.sleep(600)
asyncio.run(own())
"""


@pytest.fixture
def orphan(boundary: str) -> Iterator[Callable[[str], LabRecord]]:
    """Brings up a lab from a process of its own and kills that process with SIGKILL."""
    owners = []

    def make(how: str = "") -> LabRecord:
        example = Path(__file__).parent / "example"
        owner = subprocess.Popen([sys.executable, "-c", _OWNER, example, how], stdout=subprocess.PIPE, text=True)
        owners.append(owner)
        assert owner.stdout
        run_id = owner.stdout.readline().strip()
        assert read_record(run_id).owner_alive
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        owner.stdout.close()
        return read_record(run_id)

    yield make
    for record in labs():
        asyncio.run(cleanup(include_kept=True))
        assert not record.running


async def test_cleanup_after_the_owner_was_killed(orphan: Callable[..., LabRecord], lab: ProcessDeployment, get: Get):
    dead = await asyncio.to_thread(orphan)
    assert (dead.dead, dead.owner_alive, dead.running) == (True, False, True)
    assert len(kin(dead)) >= 4, "supervisord, a link and two members, one of them frozen"
    assert [record.run_id for record in await cleanup()] == [dead.run_id]
    assert not kin(dead)
    assert not dead.folder.exists()
    assert not list(dead.socket.parent.glob(f"{dead.socket.name}*"))
    assert await get(lab, "front", "/read") == (200, "1"), "a living lab is left alone"
    assert await cleanup() == []


async def test_the_next_up_cleans_what_a_dead_lab_left(orphan: Callable[..., LabRecord], example: Subject):
    dead = await asyncio.to_thread(orphan)
    lab = await ProcessDeployment.up(example)
    await lab.down()
    assert not kin(dead)
    assert not dead.folder.exists()


async def test_a_lab_that_is_kept_outlives_its_owner_until_told(orphan: Callable[..., LabRecord]):
    kept = await asyncio.to_thread(orphan, "keep")
    assert not kept.dead
    assert await cleanup() == []
    assert read_record(kept.run_id).running
    lab = ProcessDeployment.attach(kept.run_id)
    await lab.resume("store")
    assert [record.run_id for record in await cleanup(include_kept=True)] == [kept.run_id]
    assert not kin(kept)


async def test_a_lab_from_before_the_machine_started_is_dead(lab: ProcessDeployment):
    old = lab.record.model_copy(update={"keep": True, "created_at": datetime(2020, 1, 1, tzinfo=UTC)})
    assert old.dead


async def test_only_old_ones_where_an_age_is_given(orphan: Callable[..., LabRecord]):
    await asyncio.to_thread(orphan)
    assert await cleanup(older_than=timedelta(hours=1)) == []
    assert len(await cleanup(older_than=timedelta(0))) == 1


async def test_records_of_ended_labs_go_only_when_asked(example: Subject):
    lab = await ProcessDeployment.up(example)
    await lab.down()
    assert await cleanup() == []
    assert lab.folder.exists()
    assert len(await cleanup(ended=True)) == 1
    assert not lab.folder.exists()


async def test_an_owner_is_not_mistaken_for_another_process_of_its_pid(lab: ProcessDeployment):
    reused = lab.record.model_copy(update={"owner_started": lab.record.owner_started - 100, "owner_pid": os.getpid()})
    assert reused.dead


async def test_the_only_lab_need_not_be_named(lab: ProcessDeployment, example: Subject):
    assert the_lab().run_id == lab.run_id
    assert the_lab(lab.run_id[:-3]).run_id == lab.run_id
    with pytest.raises(UnknownName, match="no lab is called 'nothing'"):
        the_lab("nothing")
    other = await ProcessDeployment.up(example)
    try:
        with pytest.raises(BadParameter, match="which lab"):
            the_lab()
        assert the_lab(other.run_id).run_id == other.run_id
    finally:
        await other.down()


def test_no_lab_at_all_is_told():
    with pytest.raises(BadParameter, match="no lab runs"):
        the_lab()


async def test_a_damaged_record_is_told_with_what_to_do(lab: ProcessDeployment):
    good = (lab.folder / "lab.json").read_text()
    (lab.folder / "lab.json").write_text("{")
    with pytest.raises(EnvironmentTrouble, match=r"cannot read .*lab\.json") as told:
        labs()
    assert str(lab.folder) in told.value.next_step
    (lab.folder / "lab.json").write_text(good)
