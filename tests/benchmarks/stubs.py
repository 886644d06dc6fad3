"""Many nodes in one process that speak the HTTP of the real ones: `python stubs.py COUNT` prints their ports as JSON.

Each has a port of its own and answers `/ready`, `/metrics` and `/check` with what a real node would say. It ends
when its input does.
"""

import asyncio
import json
import resource
import sys
from functools import partial

import httptools

from subjects.ratelimiter.service.metrics import NodeMetrics, Outcome


def _answer(body: bytes, kind: str = "application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind.encode(), len(body), body)


def pages(name: str) -> dict[bytes, bytes]:
    """What a healthy node that took some requests says, by path."""
    metrics = NodeMetrics(name)
    metrics.set_ready(True)
    for number in range(100):
        metrics.decided(Outcome.ALLOWED, 0.0004 * (number % 7 + 1))
    check = {"allowed": False, "limit": 3, "remaining": 0, "retry_after_s": 0.5, "node": name}
    return {
        b"/ready": _answer(json.dumps({"status": "ready", "node": name, "reason": ""}).encode()),
        b"/health": _answer(json.dumps({"status": "ok", "node": name, "uptime_s": 1.0}).encode()),
        b"/check": _answer(json.dumps(check).encode()),
        b"/metrics": _answer(metrics.exposition(), "text/plain; version=0.0.4; charset=utf-8"),
    }


class Connection(asyncio.Protocol):
    """One connection to one node."""

    def __init__(self, pages: dict[bytes, bytes]) -> None:
        self.pages = pages
        self.parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_message_complete(self) -> None:
        self.transport.write(self.pages[self.url])


async def serve(count: int) -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    ports = {}
    for number in range(1, count + 1):
        name = f"node-{number}"
        server = await loop.create_server(partial(Connection, pages(name)), "127.0.0.1", 0, backlog=64)
        ports[name] = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(int(sys.argv[1])))
