"""A way to look at HTTP services and touch nothing: it passes on GET and HEAD, and writes each request anew.

    python -I reader.py '{"node-1": 8000, "prometheus": 9090}'

It listens on the ports it is told, on every address, and serves by the `Host` of a request. A request is read to
the end of its head and no further; what goes upstream is written from what was understood, on a connection of its
own, so nothing can be smuggled behind it. Answers pass through as they are. So many connections at a time are
taken, and each only so long without a byte, so that looking cannot wear out what is looked at. SIGTERM ends it.

Standard library only, and one file: it runs where the package is not.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import TypeVar

_HEAD_AT_MOST = 16 * 1024
_WITHIN_S = 10.0
_GOODBYE_S = 1.0
_CONNECTIONS = 64
_LINE = re.compile(rb"(GET|HEAD) (/[!-~]*) HTTP/1\.[01]")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([ -~\t]*)")  # read in one way: it cannot be made to search
_BODY = (b"content-length", b"transfer-encoding", b"upgrade", b"expect")
_CHUNK = 1 << 16
T = TypeVar("T")


class Refused(Exception):
    """A request that is not passed on; `status` and why."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status


def understood(head: bytes, port: int, routes: Mapping[str, int]) -> tuple[str, bytes]:
    """Whom a request's head is for, and the request as it goes to them; Refused if it is not simply a read."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise Refused("405 Method Not Allowed", "only GET and HEAD pass here: you may look and touch nothing")
    hosts = []
    for one in lines:
        header = _HEADER.fullmatch(one)
        if header is None or header[1].lower() in _BODY:
            raise Refused("400 Bad Request", "a plain request without a body, please")
        if header[1].lower() == b"host":
            hosts.append(header[2].strip(b" \t").decode("ascii"))
    name, _, told = hosts[0].partition(":") if len(hosts) == 1 else ("", "", "")
    if routes.get(name) != port or told not in {"", str(port)}:
        raise Refused("404 Not Found", f"nothing of that name on port {port}; there is {', '.join(routes)}")
    request = b"%b %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (line[1], line[2], hosts[0].encode("ascii"))
    return name, request


class Reader:
    """Serves connections, each of which carries one request."""

    def __init__(self, routes: Mapping[str, int]) -> None:
        self._routes = routes
        self._open = 0

    async def serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to `port`."""
        self._open += 1
        try:
            if self._open > _CONNECTIONS:
                writer.write(_answer("503 Service Unavailable", f"at most {_CONNECTIONS} connections at a time"))
            else:
                await serve_one(port, self._routes, reader, writer)
            await _say_goodbye(reader, writer)
        except OSError:  # the client left
            return
        finally:
            self._open -= 1
            writer.close()


async def serve_one(
    port: int, routes: Mapping[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Read one request, and answer it; OSError if the client leaves."""
    try:
        head = await _within(reader.readuntil(b"\r\n\r\n"))
        name, request = understood(head, port, routes)
        answers, onward = await _within(asyncio.open_connection(name, port))
    except Refused as refused:
        writer.write(_answer(refused.status, str(refused)))
    except OSError as trouble:
        writer.write(_answer("502 Bad Gateway", f"it does not answer: {trouble}"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        writer.write(_answer("400 Bad Request", "not the head of a request"))
    else:
        await _pass_on(request, answers, onward, writer)


async def _say_goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End our side first: closed over unread bytes, the kernel would reset, and the answer could be lost."""
    writer.write_eof()
    async with asyncio.timeout(_GOODBYE_S):
        while await reader.read(_CHUNK):
            pass


async def _pass_on(
    request: bytes, answers: asyncio.StreamReader, onward: asyncio.StreamWriter, writer: asyncio.StreamWriter
) -> None:
    try:
        onward.write(request)
        await onward.drain()
        while data := await _within(answers.read(_CHUNK)):
            writer.write(data)
            await _within(writer.drain())
    finally:
        onward.close()


async def _within(doing: Awaitable[T]) -> T:
    """TimeoutError, which is an OSError, if it takes too long: whoever hangs keeps no place."""
    async with asyncio.timeout(_WITHIN_S):
        return await doing


def _answer(status: str, why: str) -> bytes:
    body = json.dumps({"error": why}).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    )
    return head.encode() + b"\r\n" + body


async def serve(routes: Mapping[str, int]) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    serving = Reader(routes)
    for port in sorted(set(routes.values())):
        await asyncio.start_server(partial(serving.serve, port), "0.0.0.0", port, limit=_HEAD_AT_MOST)  # noqa: S104
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await done.wait()


def main(arguments: list[str]) -> int:
    """Run the reader for the routes named on the command line; 2 if they cannot be."""
    try:
        (text,) = arguments
        asyncio.run(serve({str(name): int(port) for name, port in json.loads(text).items()}))
    except (OSError, ValueError, AttributeError, TypeError, OverflowError) as trouble:
        sys.stderr.write(f"cannot read for {' '.join(arguments)}: {trouble}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
