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

_NAME = b"NAME"
_PER_PAGE = 10
"""So many requests a node turned away from one page to the next."""


def _answer(body: bytes, kind: str = "application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind.encode(), len(body), body)


class Traffic:
    """The pages of a node under load, one after the other; each is made once for all nodes, that have it in turn.

    Nobody is allowed anything, for then Redis would have to have counted it.
    """

    def __init__(self) -> None:
        self._metrics = NodeMetrics(_NAME.decode())
        self._metrics.set_ready(True)
        self._pages: list[bytes] = []

    def page(self, number: int) -> bytes:
        """The page of that number, from 0, with the name of a node standing open."""
        while len(self._pages) <= number:
            for request in range(_PER_PAGE):
                self._metrics.decided(Outcome.DENIED, 0.0004 * (request % 7 + 1))
            self._pages.append(self._metrics.exposition())
        return self._pages[number]


class Stub:
    """What a healthy node under load says."""

    def __init__(self, name: str, traffic: Traffic) -> None:
        check = {"allowed": False, "limit": 3, "remaining": 0, "retry_after_s": 0.5, "node": name}
        self._traffic = traffic
        self._name = name.encode()
        self._number = -1
        self._fixed = {
            b"/ready": _answer(json.dumps({"status": "ready", "node": name, "reason": ""}).encode()),
            b"/health": _answer(json.dumps({"status": "ok", "node": name, "uptime_s": 1.0}).encode()),
            b"/check": _answer(json.dumps(check).encode()),
        }

    def answer(self, path: bytes) -> bytes:
        """The answer to one request."""
        if path != b"/metrics":
            return self._fixed[path]
        self._number += 1
        page = self._traffic.page(self._number).replace(_NAME, self._name)
        return _answer(page, "text/plain; version=0.0.4; charset=utf-8")


class Connection(asyncio.Protocol):
    """One connection to one node."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_message_complete(self) -> None:
        self.transport.write(self.stub.answer(self.url))


async def serve(count: int) -> None:
    """Serve until the input ends."""
    loop, traffic = asyncio.get_running_loop(), Traffic()
    ports = {}
    for number in range(1, count + 1):
        name = f"node-{number}"
        server = await loop.create_server(partial(Connection, Stub(name, traffic)), "127.0.0.1", 0, backlog=64)
        ports[name] = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(int(sys.argv[1])))
