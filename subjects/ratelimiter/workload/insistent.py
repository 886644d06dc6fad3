"""Clients of one node that take no failure for an answer: they ask again at once, with no back-off.

    python3 insistent.py 127.0.0.1:8101 --clients 96 --every 6

Each has one request under way at most, asks four times a second at most, and only now and then while it is answered:
that bounds what they send, however long nobody answers. They end with their process. Standard library only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random

_WITHIN_S = 1.0
_SOONEST_S = 0.25
"""From one try to the next at least, seconds: as long as a node waits for Redis. No refusal is sooner than that."""


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> bool:
    """Whether the node decided, one way or the other."""
    body = json.dumps({"key": key}).encode()
    head = f"POST /check HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"\r\n" + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    lengths = [int(line.partition(b":")[2]) for line in answer if line.startswith(b"content-length:")]
    await reader.readexactly(sum(lengths))
    return b" 200 " in answer[0]


class Client:
    """One client and its connection."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self._node, self._key = (host, port), key
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def served(self) -> bool:
        """Ask once; whether that was any good."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                self._open = self._open or await asyncio.open_connection(*self._node)
                return await ask(*self._open, self._key)
        except (OSError, EOFError, TimeoutError, ValueError):
            if self._open:
                self._open[1].transport.abort()
            self._open = None
            return False

    async def insist(self, every_s: float) -> None:
        """Ask for ever, `every_s` seconds after an answer on average, and at once after a failure."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(random.uniform(0, every_s))  # noqa: S311  no secret
        while True:
            asked = clock()
            if await self.served():
                await asyncio.sleep(random.uniform(0, 2 * every_s))  # noqa: S311  no secret
            else:
                await asyncio.sleep(max(0.0, asked + _SOONEST_S - clock()))


async def run(options: argparse.Namespace) -> None:
    """Play the clients until the process is ended."""
    host, _, port = options.node.rpartition(":")
    clients = [Client(host, int(port), f"batch-{number}") for number in range(options.clients)]
    await asyncio.gather(*(client.insist(options.every) for client in clients))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Clients that do not give up.")
    parser.add_argument("node", help="HOST:PORT")
    parser.add_argument("--clients", type=int, default=96)
    parser.add_argument("--every", type=float, default=6.0, help="seconds between two requests that are answered")
    asyncio.run(run(parser.parse_args()))
