"""Every lab on this machine, and the removal of what dead ones left.

A lab is dead when the process that brought it up is gone and the lab was not meant to outlive it. Its
processes are found by its run id in their environment (`operatorlab.deploy.kin`), never by a name.
"""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime, timedelta

from operatorlab.deploy.kin import end_kin
from operatorlab.deploy.records import FILE, LabRecord, LabState, read_records
from operatorlab.deploy.supervisor import Supervisor


def labs() -> list[LabRecord]:
    """The labs that are not taken down, oldest first; each says whether its owner lives and whether it runs."""
    return [record for record in read_records() if record.state is not LabState.DOWN]


def ports_of_others(run_id: str) -> frozenset[int]:
    """The ports that other labs use or may use again: those of their stopped members, too."""
    return frozenset(port for record in labs() if record.run_id != run_id for port in record.ports.values())


async def cleanup(
    *, include_kept: bool = False, ended: bool = False, older_than: timedelta = timedelta(0)
) -> list[LabRecord]:
    """Remove dead labs: their processes and their folders. Returns what was removed.

    `include_kept` also takes down and removes labs that were brought up to stay, `ended` also removes the
    records and logs of labs that were taken down. Only labs created `older_than` ago are looked at.
    """
    latest = datetime.now(UTC) - older_than
    removed = []
    for record in read_records():
        wanted = record.dead or (include_kept and record.keep) or (ended and record.state is LabState.DOWN)
        if wanted and record.created_at <= latest:
            await remove(record)
            removed.append(record)
    return removed


async def remove(record: LabRecord) -> None:
    """End every process of a lab and remove what it wrote. Files that others put into its folder stay."""
    await end_kin(record.run_id, record.root)
    Supervisor(record.socket).remove()
    await asyncio.to_thread(_remove_folder, record)


def _remove_folder(record: LabRecord) -> None:
    if record.root.is_dir():
        shutil.rmtree(record.root)
    (record.folder / FILE).unlink(missing_ok=True)
    if record.folder.is_dir() and not any(record.folder.iterdir()):
        record.folder.rmdir()
