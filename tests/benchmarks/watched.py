"""A rate limiter, and the monitor in a process of its own beside it, without grace: what benchmarks share."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

import psutil

from operatorlab.audit import AuditStore
from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.monitor.attach import ensure_run
from operatorlab.registry import find_subject

NODES = ("node-1", "node-2", "node-3")
KINDS = ("kill", "hang", "partition")
_POLL_S = 0.02
_OPENED, _CLOSED = ("ticket.opened", "ticket.reopened"), ("ticket.self_healed", "ticket.resolved")


@dataclass
class WatchedLab:
    """The lab, its monitor's process, and the tickets in the audit file."""

    deployment: ProcessDeployment
    monitor: psutil.Process
    store: AuditStore
    expected: set[str] = field(default_factory=set)
    """Fingerprints that were meant to open."""

    def now(self) -> int:
        """The number of the newest event."""
        return int(self.store.head().partition(":")[0])

    async def inject(self, kind: str, node: str) -> float:
        """Break it; the monotonic second just before."""
        self.expected.add(f"{'redis_disconnected' if kind == 'partition' else 'node_down'}/{node}")
        pid = await self.deployment._members.pid(node)
        began = time.monotonic()
        if kind == "partition":
            await self.deployment.cut(node, "redis")
        else:
            os.killpg(pid, signal.SIGKILL if kind == "kill" else signal.SIGSTOP)
        return began

    async def heal(self, kind: str, node: str) -> None:
        await (self.deployment.mend(node, "redis") if kind == "partition" else self.deployment.start(node))

    async def opened(self, node: str, after: int, within_s: float = 30.0) -> float:
        """When a ticket for `node` opened, by the monitor's own clock reading: the same clock."""
        return await self._event(_OPENED, node, after, within_s)

    async def closed(self, node: str, after: int, within_s: float = 60.0) -> float:
        return await self._event(_CLOSED, node, after, within_s)

    async def _event(self, kinds, node: str, after: int, within_s: float) -> float:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            for event in self.store.events(run=self.deployment.run_id, kinds=kinds, after_seq=after):
                if str(event.payload["fingerprint"]).endswith(f"/{node}"):
                    return event.mono
            await asyncio.sleep(_POLL_S)
        raise TimeoutError(f"no {kinds} for {node} within {within_s} s")

    def unexpected(self) -> set[str]:
        """Tickets of rules or nodes that nobody broke."""
        events = self.store.events(run=self.deployment.run_id, kinds=_OPENED)
        return {str(event.payload["fingerprint"]) for event in events} - self.expected


@contextlib.asynccontextmanager
async def watched_lab(folder, interval_s: float = 0.5):
    """Up, watched and healthy until the context ends."""
    deployment = await ProcessDeployment.up(find_subject("ratelimiter"))
    try:
        with AuditStore() as store, (folder / "monitor.log").open("wb") as log:
            ensure_run(store, deployment.record)
            options = ["--run", deployment.run_id, "--grace", "0", "--interval", str(interval_s)]
            command = [sys.executable, "-m", "operatorlab.monitor", "--subject", "ratelimiter", *options]
            child = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220  it is only started here
            try:
                while not store.events(run=deployment.run_id, kinds=("observed.node",)):
                    assert child.poll() is None, (folder / "monitor.log").read_text()
                    await asyncio.sleep(_POLL_S)
                yield WatchedLab(deployment, psutil.Process(child.pid), store)
            finally:
                child.terminate()
                child.wait(30)
    finally:
        await deployment.down()
