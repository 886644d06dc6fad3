"""The end of a lab's processes: of its members, of what an operator left running, of its clients."""

from __future__ import annotations

from operatorlab.deploy.kin import end_kin
from operatorlab.deploy.records import LabRecord
from operatorlab.deploy.supervisor import Supervisor, reap


async def end_processes(record: LabRecord) -> None:
    """Kill every process of the lab; nothing it started on this machine survives."""
    if record.running and record.supervisor_pid:
        # Its children first: it takes note of their end. In a container without an init nobody else would.
        await end_kin(record.run_id, record.root, spare={record.supervisor_pid})
        await Supervisor(record.control).reaped(record.supervisor_pid)
    await end_kin(record.run_id, record.root)
    reap()
    if record.socket:
        Supervisor(record.socket).remove()
