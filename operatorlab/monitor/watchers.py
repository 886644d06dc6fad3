"""Who watches a run: found from what monitors said of themselves, and from whether they still live.

A monitor that was killed leaves only its beginning; its process id and start time tell that it is gone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import psutil
from ulid import ULID

from operatorlab.audit import AuditStore

_SAME_START_S = 0.5  # create_time() is derived from the boot time, which may be corrected a little


@dataclass(frozen=True, slots=True)
class Watcher:
    """A monitor that runs now."""

    pid: int
    interval_s: float


def identify(interval_s: float) -> dict[str, object]:
    """What a monitor says of itself when it starts and stops."""
    return {
        "monitor": str(ULID()),
        "pid": os.getpid(),
        "process_started": psutil.Process().create_time(),
        "interval_s": interval_s,
    }


def watchers(store: AuditStore, run: str) -> list[Watcher]:
    """The monitors that watch `run` at this moment."""
    begun: dict[object, Mapping[str, object]] = {}
    for event in store.events(run=run, kinds=("monitor.started", "monitor.stopped")):
        if event.kind == "monitor.started":
            begun[event.payload["monitor"]] = event.payload
        else:
            begun.pop(event.payload["monitor"], None)
    return [
        Watcher(int(str(said["pid"])), float(str(said["interval_s"]))) for said in begun.values() if _is_alive(said)
    ]


def _is_alive(said: Mapping[str, object]) -> bool:
    try:
        process = psutil.Process(int(str(said["pid"])))
        started = process.create_time()
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and abs(started - float(str(said["process_started"]))) < _SAME_START_S
        )
    except psutil.NoSuchProcess:
        return False
