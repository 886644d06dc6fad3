"""A lab's boundary made, or made anew where it is gone, with the way in for the lab's clients and its monitor."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Collection, Mapping, Sequence

from operatorlab.deploy import boundary, limits, proc
from operatorlab.deploy.boundary import Allowed, Kind
from operatorlab.deploy.confined import Confined
from operatorlab.deploy.ending import end_inside
from operatorlab.deploy.forwarding import forward
from operatorlab.deploy.inside import Inside
from operatorlab.deploy.kin import end_kin
from operatorlab.deploy.ports import Reservation, reserve
from operatorlab.deploy.records import LabRecord, begin_record, read_records
from operatorlab.deploy.supervisor import socket_path
from operatorlab.home import make_folder
from operatorlab.subject import PROCESSES, Subject

MAKER_LOG, INGRESS_LOG = "boundary.log", "ingress.log"


def begin_lab(subject: Subject, run_id: str | None, keep: bool, allowed: Allowed) -> LabRecord:
    """The record of a lab of processes that is about to be brought up, with its folder."""
    record = begin_record(subject, PROCESSES, run_id, keep=keep)
    make_folder(record.root)
    return record.changed(socket=socket_path(record.root), confined=plan(record.run_id, allowed))


def plan(run_id: str, allowed: Allowed) -> Confined | None:
    """What the boundary of a lab will be, written down before anything of it is made; None for none."""
    if allowed.kind is Kind.NONE:
        return None
    taken = {record.confined.owner for record in read_records() if record.confined}
    owner = boundary.free_user(taken) if allowed.kind is Kind.ROOT else os.getuid()
    groups = limits.plan_groups(f"operatorlab-{run_id}-{secrets.token_hex(3)}")
    return Confined(kind=allowed.kind, owner=owner, groups=groups)


def keepers(confined: Confined) -> set[int]:
    """The processes that are the boundary; they stay when what is inside ends."""
    return {confined.init_pid, proc.parent(confined.init_pid), confined.ingress_pid}


async def enclose(
    record: LabRecord,
    mounts: Sequence[str],
    members: Sequence[str],
    environment: Mapping[str, str],
    *,
    reservation: Reservation | None = None,
    spare: Collection[int] = (),
) -> Confined:
    """Make the boundary, unless it stands, and the way in to `members`, unless there is one.

    A new boundary has nothing in it. `environment` is of what stays outside. PortTaken if a member's port is
    another's by now.
    """
    confined = record.confined
    assert confined is not None
    if not confined.alive:
        await end_inside(record, confined)
        await end_kin(record, spare=spare)
        confined = await asyncio.to_thread(boundary.begin, confined, mounts, environment, record.folder / MAKER_LOG)
    if not confined.forwards:
        held = reservation or reserve(members, {name: record.ports[name] for name in members})
        sockets = held.take(members)
        try:
            pid, ticks = await asyncio.to_thread(
                forward, Inside(confined, {}), sockets, environment, record.folder / INGRESS_LOG
            )
        finally:
            for one in sockets.values():
                one.close()
        confined = confined.model_copy(update={"ingress_pid": pid, "ingress_ticks": ticks})
    return confined
