"""The way into a lab's network for its clients and its monitor: a process outside that forwards members' ports."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from operatorlab.deploy import ingress, proc
from operatorlab.deploy.children import remember
from operatorlab.deploy.inside import Inside
from operatorlab.deploy.ports import LOOPBACK
from operatorlab.errors import StartFailed

_READY_WITHIN_S = 10.0
_BACKLOG = 512


def forward(
    inside: Inside, sockets: Mapping[int, socket.socket], environment: Mapping[str, str], errors: Path
) -> tuple[int, int]:
    """Forward what arrives at each of `sockets` to its port inside; the pid of who does, and when it started.

    The sockets may be closed then. StartFailed if it does not start.
    """
    for one in sockets.values():
        one.listen(_BACKLOG)
    forwards = [{"fd": one.fileno(), "upstream_host": LOOPBACK, "upstream_port": port} for port, one in sockets.items()]
    command = inside.enter_network([sys.executable, "-P", str(Path(ingress.__file__)), json.dumps(forwards)])
    with errors.open("wb") as log:
        child = subprocess.Popen(  # ends with the lab; found by its environment
            command, env=dict(environment), cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            pass_fds=[one.fileno() for one in sockets.values()], start_new_session=True,
        )  # fmt: skip
    remember(child)
    assert child.stdout is not None
    with child.stdout as answer:
        ready = select.select([answer], [], [], _READY_WITHIN_S)[0] and answer.readline() == b"ready\n"
    ticks = proc.ticks(child.pid)
    if not ready or ticks is None:
        child.kill()
        raise StartFailed(
            f"nothing forwards to the lab: {errors.read_text(errors='replace')[-2000:].strip()}",
            next_step=f"read {errors}",
        )
    errors.unlink()
    return child.pid, ticks
