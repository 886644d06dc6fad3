"""kill -9 at any moment: the chain stays valid, no row is lost, nothing stays leased."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from operatorlab.monitor.tickets import Policy, TicketState

PROGRAM = Path(__file__).with_name("on_duty.py")
POLICY = Policy(hold_s=0.05, settle_s=0.05, backoff_s=0, lease_s=1.0, max_attempts=10_000)


@dataclass
class Barracks:
    """The program that puts operators on duty, and what they said."""

    process: asyncio.subprocess.Process
    commands: list[str] = field(default_factory=list)

    async def on_duty(self) -> int:
        self._say("on duty")
        return int((await self._until("on duty")).split()[2])

    async def see(self, commands: int) -> None:
        """Until so many commands were recorded."""
        for _ in range(commands):
            self.commands.append((await self._until("command")).split()[1])

    async def kill(self, pid: int) -> None:
        self._say(f"kill {pid}")
        await self._until("killed")

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def _until(self, word: str) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            async for raw in self.process.stdout:
                line = raw.decode()
                if line.startswith(word):
                    return line
                self.commands.append(line.split()[1])
        raise AssertionError("the program ended")


@pytest.fixture
async def barracks(lab: Any) -> AsyncIterator[Barracks]:
    lab.policy = POLICY
    lab.__post_init__()
    arguments = (str(PROGRAM), str(lab.store.path), str(lab.root), lab.board.run_id)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    watching = asyncio.create_task(lab.watch())
    yield Barracks(process)
    watching.cancel()
    await asyncio.wait([watching])
    process.kill()
    await process.communicate()


async def _leasable_again(lab: Any) -> None:
    async with asyncio.timeout(20):
        while lab.board.next_incident() is None:  # noqa: ASYNC110  a lease that runs out signals no event
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kills", [15, pytest.param(50, marks=pytest.mark.slow)])
async def test_a_killed_operator_loses_nothing_and_holds_nothing_for_ever(
    lab: Any, barracks: Barracks, kills: int
) -> None:
    chance = random.Random(20261123)
    for _ in range(kills):
        operator = await barracks.on_duty()
        await barracks.see(chance.randrange(5))
        await asyncio.sleep(chance.uniform(0, 0.1))
        await barracks.kill(operator)
        assert lab.store.verify().ok
        await _leasable_again(lab)

    recorded = {row["id"] for row in lab.rows("select id from commands")}
    assert set(barracks.commands) <= recorded
    assert len(barracks.commands) > kills
    ran = len((lab.root / "ran.log").read_text().splitlines())
    assert ran <= len(recorded)

    open_before = lab.row("select count(*) as n from sessions where ended_at is null")["n"]
    closed = lab.store.close_dead_sessions(psutil.pid_exists)
    assert len(closed) == open_before > 0
    assert lab.rows("select * from sessions where ended_at is null") == []
    outcomes = {row["outcome"] for row in lab.rows("select outcome from sessions")}
    assert outcomes <= {"crashed", "claimed_unverified", "interrupted"}  # on a busy machine a lease may run out
    assert lab.board.tickets(TicketState.INVESTIGATING) == []
