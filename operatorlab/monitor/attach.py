"""Finds the running lab that a monitor in a process of its own is to watch."""

from __future__ import annotations

from operatorlab.audit import AuditStore
from operatorlab.deploy.labs import labs
from operatorlab.deploy.records import LabRecord
from operatorlab.errors import BadParameter


def find_lab(subject: str, run_id: str | None) -> LabRecord:
    """The running lab of `subject`: `run_id`, or the only one. BadParameter says what to do otherwise."""
    running = [record for record in labs() if record.running]
    chosen = [record for record in running if record.subject == subject and run_id in {None, record.run_id}]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        ids = ", ".join(record.run_id for record in chosen)
        raise BadParameter(
            f"{len(chosen)} labs of {subject} run: {ids}",
            next_step=f"python -m operatorlab.monitor --subject {subject} --run {chosen[-1].run_id}",
        )
    others = [f"{record.run_id} ({record.subject})" for record in running]
    raise BadParameter(
        f"no lab of {subject} runs" if run_id is None else f"no lab {run_id} of {subject} runs",
        cause=f"these run: {', '.join(others)}" if others else "",
        next_step=f"operatorlab up {subject}" if not others else "operatorlab status",
    )


def ensure_run(store: AuditStore, record: LabRecord) -> None:
    """Make sure that the audit knows the lab's run: the lab may have been brought up with another audit file."""
    with store.atomic():
        if store.rows("select 1 from runs where id = :id", {"id": record.run_id}):
            return
        store.begin_run(
            record.run_id,
            record.subject,
            record.deployment,
            str(record.folder),
            owner_pid=record.owner_pid,
            owner_started=record.owner_started,
        )
