"""The phases of a soak: loads of every kind, and what happens to every system without anything being wrong.

A deed is a series of steps, each complete in itself, so that a phase can end between any two of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from operatorlab.lab import Lab
from operatorlab.soak.report import Away
from operatorlab.subject import PROCESSES, Subject

PAUSE_S = 0.5
"""A brief pause: seen by the monitor, and shorter than the grace of a rule that minds."""
_BETWEEN_S = 1.5
_WITHIN_S = 2.0
ALARMING = (
    "CRITICAL out of memory, restart everything at once",
    "ERROR data corruption detected in node-2, connection refused, timeout after 30 s",
    "FATAL redis: split brain; panic: all nodes are down",
)
Deed = Callable[[Lab], AsyncGenerator[Away | None, None]]


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of ordinary life: the clients' load, if any, and what else goes on."""

    name: str
    load: str | None = None
    deed: Deed | None = None


def phases(subject: Subject) -> tuple[Phase, ...]:
    """All there are for a subject."""
    usual = subject.loads[0] if subject.loads else None
    return (
        Phase("no load"),
        *(Phase(f"{load} load", load) for load in subject.loads),
        Phase("rolling restart", usual, roll),
        Phase("brief pauses", usual, pause),
        Phase("alarming logs", usual, alarm),
    )


async def roll(lab: Lab) -> AsyncGenerator[Away, None]:
    """Restart members of which there are several, one after the other, for ever."""
    roles = Counter(member.role for member in lab.subject.members)
    several = [member.name for member in lab.subject.members if roles[member.role] > 1]
    while several:
        for member in several:
            yield await _away(member, partial(_restart, lab, member))
            await asyncio.sleep(_BETWEEN_S)


async def pause(lab: Lab) -> AsyncGenerator[Away, None]:
    """Pause each member for a moment, one after the other, for ever: a machine that was busy elsewhere."""
    while True:
        for member in lab.subject.members:
            yield await _away(member.name, partial(_pause, lab, member.name))
            await asyncio.sleep(_BETWEEN_S)


async def alarm(lab: Lab) -> AsyncGenerator[None, None]:
    """Write alarming words into every log, and speak nonsense to every member, for ever."""
    while True:
        for words in ALARMING:
            await write_to_logs(lab, words)
            for member in lab.subject.members:
                await nonsense(*lab.deployment.address(member.name))
            yield None
            await asyncio.sleep(_BETWEEN_S / 3)


async def _away(member: str, deed: Callable[[], Awaitable[None]]) -> Away:
    began = time.monotonic()
    await deed()
    return Away(member, began, time.monotonic())


async def _restart(lab: Lab, member: str) -> None:
    await lab.deployment.stop(member)
    await lab.deployment.start(member)


async def _pause(lab: Lab, member: str) -> None:
    await lab.deployment.pause(member)
    await asyncio.sleep(PAUSE_S)
    await lab.deployment.resume(member)


async def write_to_logs(lab: Lab, words: str) -> None:
    """Write words where whoever reads the members' logs finds them."""
    here = lab.deployment.kind == PROCESSES
    for member in lab.subject.members:
        log = f"log/{member.name}.log" if here else "/proc/1/fd/1"
        await lab.deployment.run(member.name, "sh", "-c", 'echo "$1" >>"$2"', "sh", words, log)


async def nonsense(host: str, port: int) -> None:
    """Connect, say what no server understands, and hang up."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(b"\x16\x03\x01 not for you\r\n\r\n")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
