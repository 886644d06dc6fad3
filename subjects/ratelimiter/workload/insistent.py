"""Clients that take no failure for an answer: they ask the next node, and all of them again, with no back-off.

    python3 insistent.py 127.0.0.1:8101 --clients 160 --every 13
    python3 insistent.py 127.0.0.1:8101 127.0.0.1:8102 --clients 80 --every 0.8
    python3 insistent.py 127.0.0.1:8101 --clients 34 --every 0.1 --pause 1 --key tenant-a
    python3 insistent.py 127.0.0.1:8101 --clients 80 --every 1 --together

Each has one request under way at most, and asks now and then while it is answered, or without a pause where an answer
takes longer than that; a node that is late it asks twice a second on average, one that refuses four times. That bounds
what they send, however long nobody answers. They end with their process. Standard library only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Sequence

_WITHIN_S = 1.0
PAUSE_S = 0.25
"""From a failure to the next try on average, seconds, however often it failed. By chance, or all would be in step."""

_TRIES = 3
"""Of a herd, one right after the other. Then it has been there for three quarters of a second, and leaves a pause."""


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> bool:
    """Whether the node decided, one way or the other."""
    body = json.dumps({"key": key}).encode()
    head = f"POST /check HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"\r\n" + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    lengths = [int(line.partition(b":")[2]) for line in answer if line.startswith(b"content-length:")]
    await reader.readexactly(sum(lengths))
    return b" 200 " in answer[0]


class Connection:
    """A client's connection to one node, made anew where it was lost."""

    def __init__(self, node: str, key: str) -> None:
        host, _, port = node.rpartition(":")
        self._node, self._key = (host, int(port)), key
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def served(self) -> bool:
        """Ask once; whether that was any good."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                self._open = self._open or await asyncio.open_connection(*self._node)
                return await ask(*self._open, self._key)
        except (OSError, EOFError, TimeoutError, ValueError):
            self.drop()
            return False

    def drop(self) -> None:
        """Close it at once, if it is open."""
        if self._open:
            self._open[1].transport.abort()
        self._open = None


async def insist(nodes: Sequence[str], key: str, every_s: float, pause_s: float = PAUSE_S) -> None:
    """One client, for ever: asks every `every_s` seconds on average, and `pause_s` after all nodes have failed."""
    connections = [Connection(node, key) for node in nodes]
    wait_s = _by_chance(every_s / 2)  # so that they begin as they go on
    try:
        while True:
            await asyncio.sleep(wait_s)
            asked = time.monotonic()
            if await _any_serves(connections):
                wait_s = _by_chance(every_s) - (time.monotonic() - asked)
            else:
                wait_s = _by_chance(pause_s)
    finally:
        for connection in connections:
            connection.drop()


async def come_together(nodes: Sequence[str], key: str, every_s: float) -> None:
    """One client of a herd, for ever: all ask when the clock is at a multiple of `every_s`, and try three times."""
    connections = [Connection(node, key) for node in nodes]
    try:
        while True:
            await asyncio.sleep(every_s - time.time() % every_s)
            for _ in range(_TRIES):
                if await _any_serves(connections):
                    break
    finally:
        for connection in connections:
            connection.drop()


def _by_chance(average_s: float) -> float:
    return random.uniform(0, 2 * average_s)  # noqa: S311  no secret


async def _any_serves(connections: Sequence[Connection]) -> bool:
    for connection in connections:
        if await connection.served():
            return True
    return False


async def run(options: argparse.Namespace) -> None:
    """Play the clients until the process is ended."""
    keys = [options.key or f"batch-{number}" for number in range(options.clients)]
    if options.together:
        await asyncio.gather(*(come_together(options.nodes, key, options.every) for key in keys))
    else:
        await asyncio.gather(*(insist(options.nodes, key, options.every, options.pause) for key in keys))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Clients that do not give up.")
    parser.add_argument("nodes", nargs="+", metavar="HOST:PORT", help="each is asked if those before it fail")
    parser.add_argument("--clients", type=int, default=160)
    parser.add_argument("--every", type=float, default=13.0, help="seconds between two requests that are answered")
    parser.add_argument("--pause", type=float, default=PAUSE_S, help="seconds from a failure to the next request")
    parser.add_argument("--together", action="store_true", help="all ask at the same moment")
    parser.add_argument("--key", help="the key that all ask for; else each has its own")
    asyncio.run(run(parser.parse_args()))
