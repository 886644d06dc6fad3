"""The monitor on many stub nodes, in a process of its own: `python many.py PORTS.json AUDIT CYCLES` prints figures.

First the bare fetch: the same pages of the same nodes by the same client over its kept connections, all at once, and
nothing made of them. Then whole cycles of the monitor. In turns, so that both meet the same machine.
"""

import asyncio
import contextlib
import json
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from operatorlab.audit import AuditStore
from operatorlab.monitor.board import Board
from operatorlab.monitor.collecting import spare_the_collector
from operatorlab.monitor.loop import Monitor
from operatorlab.subject import Member, MemberState
from subjects.ratelimiter.observer import observe
from subjects.ratelimiter.observer.wire import Wire
from subjects.ratelimiter.subject import REDIS, RateLimiter

PAGES = ("/ready", "/metrics")


@dataclass(frozen=True)
class Stubs:
    """A deployment of stubs that all run."""

    ports: dict[str, int]
    run_id: str = "stubs"

    def address(self, member: str) -> tuple[str, int]:
        return "127.0.0.1", self.ports[member]

    async def state(self, member: str) -> MemberState:
        return MemberState.RUNNING

    async def trouble(self) -> str:
        return ""


class Many(RateLimiter):
    """A rate limiter of as many nodes as there are ports."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.nodes = tuple(name for name in ports if name != REDIS)
        self.members = (*(Member(name, "node") for name in self.nodes), Member(REDIS, "redis"))

    def observer(self, deployment):
        return observe(deployment, self.nodes)


async def fetch(wires: list[Wire]) -> None:
    """Every page of every node, all at once; each must be answered."""
    answers = await asyncio.gather(*(wire.ask("GET", page) for wire in wires for page in PAGES))
    assert {answer.status for answer in answers} == {200}


@dataclass
class Figures:
    """What was measured, a value a turn; `unseen` counts the cycles in which not all was seen and well."""

    bare_s: list[float] = field(default_factory=list)
    bare_cpu_s: list[float] = field(default_factory=list)
    look_s: list[float] = field(default_factory=list)
    cycle_s: list[float] = field(default_factory=list)
    cycle_cpu_s: list[float] = field(default_factory=list)
    unseen: int = 0
    tickets: int = 0
    peak_mb: float = 0.0


async def measure(ports: dict[str, int], audit: Path, cycles: int) -> Figures:
    """So many turns, after three that make connections and fill caches."""
    subject, deployment, found = Many(ports), Stubs(ports), Figures()
    spare_the_collector()  # as the monitor's own process does
    with AuditStore(audit) as store, contextlib.ExitStack() as stack:
        store.begin_run(deployment.run_id, subject.name, "stubs", str(audit.parent))
        monitor = Monitor(subject, deployment, store, board=Board(store, deployment.run_id), grace_s=0.0)
        wires = [stack.enter_context(contextlib.closing(Wire(deployment.address(name)))) for name in subject.nodes]
        for number in range(-3, cycles):
            began, cpu = time.perf_counter(), time.thread_time()
            await fetch(wires)
            fetched, fetching = time.perf_counter() - began, time.thread_time() - cpu
            cycle = await monitor.cycle()
            if number >= 0:
                found.bare_s.append(fetched)
                found.bare_cpu_s.append(fetching)
                found.look_s.append(cycle.cost.observe_s)
                found.cycle_s.append(cycle.cost_s)
                found.cycle_cpu_s.append(cycle.cost.cpu_s)
                found.unseen += not subject.healthy(cycle.observation)
            await asyncio.sleep(max(0.0, 0.5 - cycle.cost_s - fetched))
        found.tickets = len(monitor.board.tickets())
        await monitor.close()
    found.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures = asyncio.run(measure(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), int(sys.argv[3])))
    sys.stdout.write(json.dumps(asdict(figures)) + "\n")
