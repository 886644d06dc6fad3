"""A trial in whose midst the Docker daemon ends and comes back, run by `test_daemon_restart.py` in namespaces apart.

    away_trial.py SIGTERM <folder> <images.tar> <cgroup>

Prints what it sees as lines of JSON: one for each cycle while something is awaited, one at each turn.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from private_daemon import PrivateDaemon

from operatorlab import AuditStore, Lab
from operatorlab.subject import Observation

MEMBERS = ("redis", "node-1", "node-2", "node-3")


def tell(turn: str, lab: Lab, seen: Observation | None = None, **more: Any) -> None:
    """Print one line: the tickets as they are now, and a look if there is one."""
    tickets = [[one.invariant, one.component, one.state, one.is_live] for one in lab.board.tickets()]
    if seen is not None:
        more["states"] = {node.name: node.state for node in seen.nodes}
        more["blind"] = {blind.component: blind.why for blind in seen.blind}
    print(json.dumps({"turn": turn, "at_s": time.monotonic(), "tickets": tickets, **more}), flush=True)  # noqa: T201


async def look_until(lab: Lab, turn: str, done: Callable[[Observation], bool], within_s: float) -> None:
    """Tell of each cycle up to the one of which `done` holds."""
    async with asyncio.timeout(within_s):
        while True:
            seen = (await lab.monitor.next_cycle()).observation
            tell(turn, lab, seen)
            if done(seen):
                return


async def states(lab: Lab) -> dict[str, str]:
    """What the daemon says of the members."""
    return {name: await lab.deployment.state(name) for name in MEMBERS}


async def play(daemon: PrivateDaemon, how: signal.Signals) -> None:
    """The trial, from a healthy lab to a healthy lab."""
    async with Lab("ratelimiter", deployment="compose", load="none", grace_s=0, hold_s=1.0) as lab:
        fault = await lab.inject("node_crash", target="node-2")
        ticket = await lab.next_ticket(timeout_s=10)
        await look_until(lab, "before", lambda seen: not seen.blind, within_s=10)
        tell("ended", lab, containers=await states(lab))
        await asyncio.sleep(1.0)  # a fault is older than the daemon's end

        await asyncio.to_thread(daemon.end, how)
        await lab.monitor.next_cycle()  # it may have been under way
        live = lab.board.live
        await look_until(lab, "away", lambda _: any(one.invariant == "observer_blind" for one in live()), within_s=40)
        for _ in range(8):
            tell("away", lab, (await lab.monitor.next_cycle()).observation)

        await asyncio.to_thread(daemon.start)
        await look_until(
            lab, "back", lambda seen: not seen.blind and [one.id for one in live()] == [ticket.id], within_s=60
        )
        for _ in range(4):
            tell("again", lab, (await lab.monitor.next_cycle()).observation)
        tell("recovered", lab, containers=await states(lab), active=await lab.active(fault))

        await lab.heal(fault)
        await lab.board.closed(ticket.incident, timeout_s=30)
        await lab.healthy()
        assert isinstance(lab.store, AuditStore)
        tell("healed", lab, containers=await states(lab), verified=lab.store.verify().ok)


def main() -> None:
    """Set up what the trial needs, and play it."""
    how, folder, images, cgroup = sys.argv[1:]
    daemon = PrivateDaemon(Path(folder), cgroup)
    os.environ |= {"DOCKER_HOST": daemon.host, "OPERATORLAB_HOME": f"{folder}/home"}
    daemon.open(Path(images))
    asyncio.run(play(daemon, signal.Signals[how]))


if __name__ == "__main__":
    main()
