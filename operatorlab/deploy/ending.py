"""The end of a lab's processes: of its members, of what an operator left running, of its clients."""

from __future__ import annotations

import asyncio
import contextlib

import psutil

from operatorlab.deploy import limits
from operatorlab.deploy.children import reap
from operatorlab.deploy.confined import Confined
from operatorlab.deploy.inside import Gone, Inside
from operatorlab.deploy.kin import end, end_kin, kin
from operatorlab.deploy.place import remove_socket
from operatorlab.deploy.records import LabRecord
from operatorlab.deploy.supervisor import reaped


async def end_processes(record: LabRecord) -> None:
    """Kill every process of the lab; nothing it started on this machine survives."""
    if record.confined:
        await end_inside(record, record.confined)
    elif record.running and record.supervisor_pid and record.socket:
        # Its children first: it takes note of their end. In a container without an init nobody else would.
        await end_kin(record, spare={record.supervisor_pid})
        await reaped(record.socket, record.supervisor_pid)
    await end_kin(record)
    reap()
    if record.socket:
        remove_socket(record.socket)


def keep_logs(record: LabRecord) -> None:
    """Copy the logs out of the boundary, for they go with it."""
    if record.confined and record.confined.alive:
        inside = Inside(record.confined, {})
        with contextlib.suppress(Gone):
            inside.files.copy_out("log", record.root / "log")
        inside.close()


async def end_inside(record: LabRecord, confined: Confined) -> None:
    """End what is inside a boundary, and the boundary: the kernel ends it all with its first process."""
    first = [psutil.Process(confined.init_pid)] if confined.alive else []
    if not first:  # who made it may have been killed before it could be written down
        first = [child for process in kin(record) if _is_maker(process) for child in process.children()]
    await end(first)
    reap()
    await asyncio.to_thread(limits.remove_groups, confined.groups)


def _is_maker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() == "bwrap"
    return False
