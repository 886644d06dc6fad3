"""Ways into a closed network: TCP forwards in one process, which pass on everything a client could tell apart.

    python -m operatorlab.deploy.ingress '[{"listen": 8000, "upstream_host": "node-1", "upstream_port": 8000}]'

A forward listens on port `listen` of `host` (127.0.0.1 unless told), or on `fd`, a listening socket that it was
given. If nobody listens upstream, the client's connection is reset at once, and within half a second if the name has
no address; a hung upstream just hangs; an end of what one side sends, and a reset, reach the other. Prints `ready`
when all listen; SIGTERM ends it.

Standard library only, and one file: it also runs where the package is not.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, cast

_RESET = struct.pack("ii", 1, 0)  # linger for no time: the kernel sends a reset in place of an end
NAMED_WITHIN_S = 0.5  # Docker answers for a name it knows in milliseconds, and for one that is gone not at all
_running: set[asyncio.Task[None]] = set()


class Forward(NamedTuple):
    """One way in: where it listens, and where what arrives there goes."""

    upstream_host: str
    upstream_port: int
    listen: int = 0
    host: str = "127.0.0.1"
    fd: int | None = None

    def socket(self) -> socket.socket:
        """Listens; OSError if it cannot."""
        if self.fd is not None:
            return socket.socket(fileno=self.fd)
        return socket.create_server((self.host, self.listen), backlog=512)


def parse(text: str) -> list[Forward]:
    """Forwards from a JSON list; ValueError says what is wrong with it."""
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError("the forwards must be a JSON list of objects")
    for one in found:
        unknown = sorted(set(one) - set(Forward._fields))
        if unknown or not {"upstream_host", "upstream_port"} <= set(one) or ("listen" in one) is ("fd" in one):
            raise ValueError(f"not a forward: {one}")
    return [Forward(**one) for one in found]


class Names:
    """Addresses of names, IPv4. One look-up a name at a time, so that names that are gone hold up no other."""

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Task[str]] = {}

    async def address(self, name: str) -> str:
        """OSError or UnicodeError if it has none, TimeoutError if nobody says."""
        task = self._asked.get(name)
        if task is None or task.done():
            task = self._asked[name] = asyncio.get_running_loop().create_task(_look_up(name))
            task.add_done_callback(asyncio.Task.exception)  # all who asked may have given up by then
        async with asyncio.timeout(NAMED_WITHIN_S):
            return await asyncio.shield(task)


async def _look_up(name: str) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(name, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


class End(asyncio.Protocol):
    """One end of a forwarded connection: what arrives here leaves at `other`."""

    transport: asyncio.Transport
    other: End
    ended = False
    """Nothing more will arrive here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.other.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self.other.ended:
            self.other.transport.close()  # once it has written what it still holds
            self.transport.close()
        else:
            self.other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if not self.other.ended:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.ended:
            self.other.transport.resume_reading()

    def connection_lost(self, trouble: Exception | None) -> None:
        if trouble:
            self.other.reset()

    def reset(self) -> None:
        """End this side so that it sees a reset."""
        if not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class Client(End):
    """The end that called; the other is looked for as soon as it does."""

    def __init__(self, forward: Forward, names: Names) -> None:
        self._forward = forward
        self._names = names

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        task = asyncio.get_running_loop().create_task(self._connect())
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def _connect(self) -> None:
        self.transport.pause_reading()  # not earlier: Python 3.11.2 forgets it if asked in connection_made
        self.other = End()
        self.other.other = self
        loop = asyncio.get_running_loop()
        try:
            address = await self._names.address(self._forward.upstream_host)
            await loop.create_connection(lambda: self.other, address, self._forward.upstream_port)
        except (OSError, UnicodeError):
            self.reset()
        else:
            self.transport.resume_reading()


async def serve(forwards: list[Forward]) -> None:
    """Forward until SIGTERM or SIGINT."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    names = Names()
    loop.set_default_executor(ThreadPoolExecutor(len(forwards) or 1))  # it looks names up, each at most once at a time
    servers = [await loop.create_server(partial(Client, forward, names), sock=forward.socket()) for forward in forwards]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await done.wait()
    for server in servers:
        server.close()


def main(arguments: list[str]) -> int:
    """Run the forwards named on the command line; 2 if they cannot be."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a hung upstream keeps its connections
    try:
        (text,) = arguments
        asyncio.run(serve(parse(text)))
    except (OSError, ValueError, TypeError, OverflowError) as trouble:
        sys.stderr.write(f"cannot forward {' '.join(arguments)}: {trouble}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
