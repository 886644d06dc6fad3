"""Every lab on this machine, and the removal of what dead ones left.

A lab is dead when the process that brought it up is gone and the lab was not meant to outlive it. Its
processes are found by its run id in their environment (`operatorlab.deploy.kin`), never by a name.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from operatorlab.deploy.base import Progress, quietly
from operatorlab.deploy.beneath import Beneath
from operatorlab.deploy.ending import keep_logs
from operatorlab.deploy.kinds import end
from operatorlab.deploy.records import LabRecord, LabState, read_records
from operatorlab.errors import BadParameter, DockerTrouble, UnknownName


def labs() -> list[LabRecord]:
    """The labs that are not taken down, oldest first; each says whether its owner lives and whether it runs."""
    return [record for record in read_records() if record.state is not LabState.DOWN]


def ports_of_others(run_id: str) -> frozenset[int]:
    """The ports that other labs use or may use again: those of their stopped members, too."""
    return frozenset(port for record in labs() if record.run_id != run_id for port in record.ports.values())


def the_lab(run_id: str | None = None) -> LabRecord:
    """The lab of that run id, or whose run id begins so; without one, the only lab there is.

    UnknownName if there is none such, BadParameter if it could be several.
    """
    there = labs()
    exact = [record for record in there if record.run_id == run_id]
    chosen = exact or [record for record in there if record.run_id.startswith(run_id or "")]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        ids = ", ".join(record.run_id for record in chosen)
        raise BadParameter(f"which lab? there is {ids}", next_step="name one of them")
    if run_id:
        raise UnknownName("lab", run_id, [record.run_id for record in there], next_step="operatorlab status")
    raise BadParameter("no lab runs", next_step="operatorlab up ratelimiter")


async def take_down(record: LabRecord) -> LabRecord:
    """End everything a lab runs and remove its system but for the logs; the record says it is down."""
    await asyncio.to_thread(keep_logs, record)
    await end(record)
    await asyncio.to_thread(_remove_system, record.root)
    return record.changed(state=LabState.DOWN, ended_at=datetime.now(UTC))


async def cleanup(
    *,
    include_kept: bool = False,
    ended: bool = False,
    older_than: timedelta = timedelta(0),
    progress: Progress = quietly,
) -> list[LabRecord]:
    """Remove dead labs: their processes and their folders. Returns what was removed.

    `include_kept` also takes down and removes labs that were brought up to stay, `ended` also removes the
    records and logs of labs that were taken down. Only labs created `older_than` ago are looked at. A lab
    whose Docker daemon is away stays on record, and `progress` is told.
    """
    latest = datetime.now(UTC) - older_than
    removed = []
    for record in read_records():
        is_down = record.state is LabState.DOWN
        wanted = record.dead or (ended if is_down else include_kept and record.keep)
        if wanted and record.created_at <= latest:
            try:
                await remove(record)
            except DockerTrouble as trouble:  # one lab that cannot be reached must not keep others from starting
                progress(f"left {record.run_id} as it is: {trouble.what}")
            else:
                removed.append(record)
    return removed


async def remove(record: LabRecord) -> None:
    """End everything a lab runs and remove its folder."""
    await end(record)
    await asyncio.to_thread(_remove_tree, record.folder)


def _remove_system(root: Path) -> None:
    if root.is_dir():
        Beneath(root).empty(keep=["log"])


def _remove_tree(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # another process cleans up as well
        Beneath(folder.parent).remove(folder.name)
