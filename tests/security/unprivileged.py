"""Run by `test_unprivileged.py` as a user without privileges: a lab's life inside a boundary, told as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from operatorlab.deploy.boundary import detect
from operatorlab.deploy.kin import kin
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.registry import find_subject


async def read(lab: ProcessDeployment) -> str:
    reader, writer = await asyncio.open_connection(*lab.address("front"))
    writer.write(b"GET /read HTTP/1.0\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    return answer.rpartition("\r\n\r\n")[2]


async def live(secret: str) -> dict[str, Any]:
    told: dict[str, Any] = {"uid": os.getuid(), "kind": detect().kind, "why": detect().why}
    lab = await ProcessDeployment.up(find_subject(sys.argv[1]), boundary="required")
    try:
        told["read"] = await read(lab)
        async with lab.sandbox(lab.folder / "audit.db") as sandbox:
            for name, command in {
                "id": "id -u; pwd",
                "processes": "ps -e -o args",
                "status": "supervisorctl status",
                "secret": f"cat {secret} /proc/*/root{secret}",
                "environments": "cat /proc/*/environ",
                "capabilities": "grep Cap[PEIA] /proc/self/status",
                "another user namespace": "unshare -Ur true && echo BREACH",
                "mounting": "mount -o remount,rw,bind /usr && echo BREACH; nsenter --user=/proc/1/ns/user "
                "-t 1 -m mount -o remount,rw,bind /usr && echo BREACH",
                "kill all": "kill -9 -1",
            }.items():
                done = await sandbox.exec(command, 10)
                told[name] = done.stdout
            await lab.reset()
            told["slow"] = (await sandbox.exec("sleep 300 & sleep 301", 1)).timed_out
            told["left"] = (await sandbox.exec("pgrep -c -x sleep", 10)).stdout.strip()
        told["after reset"] = await read(lab)
        await lab.kill("store")
        told["killed"] = await lab.state("store")
        await lab.start("store")
        await lab.cut("front", "store")
        told["cut"] = await lab.is_cut("front", "store")
        await ProcessDeployment.attach(lab.run_id).mend("front", "store")
        told["mended"] = await read(lab)
    finally:
        await lab.down()
    told["kin"] = len(kin(lab.record))
    told["logs"] = sorted(path.name for path in (lab.record.root / "log").iterdir())
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(live(str(Path(sys.argv[2]))))))
