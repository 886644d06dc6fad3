"""Run the load: `python -m subjects.ratelimiter.workload --nodes 127.0.0.1:8101,… --load steady --record FILE`.

Ends after `--duration` seconds, or on SIGTERM or Ctrl-C, with the last span written.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import signal
from collections.abc import Sequence
from pathlib import Path

from operatorlab.clock import SystemClock
from subjects.ratelimiter.workload.client import NodeClient
from subjects.ratelimiter.workload.profiles import PROFILES, Profile, arrivals
from subjects.ratelimiter.workload.record import Record

_SPAN_S = 0.1


async def send(clients: Sequence[NodeClient], profile: Profile, seed: int, record: Record) -> None:
    """Send each request when it is due, to the nodes in turn, until cancelled."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as running:
        for client, arrival in zip(itertools.cycle(clients), arrivals(profile, seed)):
            await asyncio.sleep(max(0.0, began + arrival.offset_s - loop.time()))
            running.create_task(_one(client, arrival.key, record))


async def _one(client: NodeClient, key: str, record: Record) -> None:
    loop = asyncio.get_running_loop()
    sent = loop.time()
    record.sent()
    seen = await client.check(key)
    record.ended(seen, loop.time() - sent)


async def _turn_for_ever(record: Record) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + _SPAN_S, loop.time())
        await asyncio.sleep(due - loop.time())
        record.turn()


async def run(options: argparse.Namespace) -> None:
    """Play the clients until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clients = [NodeClient(host, port) for host, port in options.nodes]
    with options.record.open("a", encoding="utf-8") as file:
        record = Record(file, SystemClock())
        sending = asyncio.create_task(send(clients, PROFILES[options.load], options.seed, record))
        turning = asyncio.create_task(_turn_for_ever(record))
        stopping = asyncio.create_task(stop.wait())
        tasks = {sending, turning, stopping}
        done, _ = await asyncio.wait(tasks, timeout=options.duration, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        record.turn()
    for client in clients:
        await client.close()
    for task in done:
        task.result()  # a bug, or a record that cannot be written, ends the load loudly


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="subjects.ratelimiter.workload", description="Clients of the rate limiter.")
    parser.add_argument("--nodes", required=True, type=lambda text: [_address(part) for part in text.split(",")])
    parser.add_argument("--load", default="steady", choices=sorted(PROFILES))
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same requests")
    parser.add_argument("--record", required=True, type=Path, help="a file; one line is added every 0.1 s")
    parser.add_argument("--duration", type=float, help="seconds; without it, until SIGTERM")
    return parser.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(_options()))
