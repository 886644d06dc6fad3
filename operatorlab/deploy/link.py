"""A network path as a process: a TCP relay, like a sidecar proxy, that obeys a small file of rules.

    python -m operatorlab.deploy.link etc/links/node-1-redis.json [RULES]

The file: `{"source", "target", "listen", "upstream", "drop", "delay_s", "host", "upstream_host"}`. Two of them are
ports; `host`, where it listens, and `upstream_host` are the loopback interface unless the file says otherwise.
`drop` lets nothing pass, in either direction, and closes nothing; `delay_s` holds every byte back by so many
seconds, each way. SIGHUP reads the file again. Whatever was held passes as soon as the rules allow it. The rules
in force are written to `data/<name>/applied.json`, below the working folder, each time they change.

RULES, a JSON object, is written to the file first, with its folder: a container that starts again is as new.

Standard library only: it has to start in the time a node needs to look around.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

LOOPBACK = "127.0.0.1"
_CHUNK = 1 << 16
_HOLD_AT_MOST = 1 << 20  # bytes one direction of one connection may hold; then the sender has to wait
_log = logging.getLogger("link")


class Rules(NamedTuple):
    """What a link does. `delay_s` is seconds, each way."""

    source: str
    target: str
    listen: int
    upstream: int
    drop: bool = False
    delay_s: float = 0.0
    host: str = LOOPBACK
    upstream_host: str = LOOPBACK

    def __str__(self) -> str:
        between = f"between {self.source} and {self.target}"
        if self.drop:
            return f"dropping all traffic {between}"
        if self.delay_s:
            return f"delaying all traffic {between} by {self.delay_s:g} s each way"
        return f"passing all traffic {between}"


def parse(text: str) -> Rules:
    """Rules from JSON; ValueError says what is wrong with them."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("the rules must be one JSON object")  # noqa: TRY004 one kind of error for any bad file
    unknown = sorted(set(found) - set(Rules._fields))
    missing = sorted(set(Rules._fields[:4]) - set(found))
    if unknown or missing:
        raise ValueError(f"unknown rules {unknown}, missing rules {missing}")
    rules = Rules(**found)
    for name in ("listen", "upstream"):
        port = getattr(rules, name)
        if type(port) is not int or not 0 < port < 65_536:
            raise ValueError(f"{name!r} must be a port, not {port!r}")
    for name in ("host", "upstream_host"):
        host = getattr(rules, name)
        if not isinstance(host, str) or not host:
            raise ValueError(f"{name!r} must be a name or an address, not {host!r}")
    if not isinstance(rules.drop, bool):
        raise ValueError(f"'drop' must be true or false, not {rules.drop!r}")  # noqa: TRY004 see above
    if type(rules.delay_s) not in (int, float) or not 0 <= rules.delay_s < 3600:
        raise ValueError(f"'delay_s' must be seconds from 0 to 3600, not {rules.delay_s!r}")
    return rules


class Gate:
    """The rules in force, and the news of a change."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._changed = asyncio.Event()
        self._look_up: asyncio.Task[list[tuple[Any, ...]]] | None = None

    async def upstream(self) -> str:
        """The address of the upstream host, IPv4. One look-up at a time: that of a name that is gone takes seconds."""
        loop = asyncio.get_running_loop()
        if self._look_up is None or self._look_up.done():
            asking = loop.getaddrinfo(self.rules.upstream_host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
            self._look_up = loop.create_task(asking)
        return str((await asyncio.shield(self._look_up))[0][4][0])

    def set(self, rules: Rules) -> None:
        """Put other rules in force, for what is held as well."""
        self.rules = rules
        self._look_up = None
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self, timeout_s: float | None = None) -> None:
        """Wait for other rules, at most `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return

    async def opened(self) -> None:
        """Wait until traffic may pass."""
        while self.rules.drop:
            await self.change()


class Pipe:
    """One direction of one connection: what was read, when, and not yet written. None marks the end."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._held: deque[tuple[float, bytes | None]] = deque()
        self._size = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.broken = False
        """The sender went away without closing in good order."""
        self.ended = asyncio.Event()
        """The sender will send no more; what it sent may still be held."""

    async def fill(self, reader: asyncio.StreamReader) -> None:
        """Read until the sender ends."""
        now = asyncio.get_running_loop().time
        try:
            while data := await reader.read(_CHUNK):
                self._hold(now(), data)
                await self._room.wait()
        except OSError:
            self.broken = True
        self._hold(now(), None)
        self.ended.set()

    async def drain(self, writer: asyncio.StreamWriter) -> None:
        """Write what is due until the end, then close this direction."""
        while (data := await self._next()) is not None:
            writer.write(data)
            await writer.drain()
        if self.broken:
            writer.transport.abort()
        elif writer.can_write_eof():
            writer.write_eof()

    def _hold(self, at: float, data: bytes | None) -> None:
        self._held.append((at, data))
        self._size += len(data or b"")
        self._arrived.set()
        if self._size >= _HOLD_AT_MOST:
            self._room.clear()

    async def _next(self) -> bytes | None:
        while not self._held:
            self._arrived.clear()
            await self._arrived.wait()
        while True:
            await self._gate.opened()
            early_s = self._held[0][0] + self._gate.rules.delay_s - asyncio.get_running_loop().time()
            if early_s <= 0:
                break
            await self._gate.change(early_s)
        data = self._held.popleft()[1]
        self._size -= len(data or b"")
        if self._size < _HOLD_AT_MOST:
            self._room.set()
        return data


async def relay(gate: Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection to its end."""
    there, back = Pipe(gate), Pipe(gate)
    filling = asyncio.create_task(there.fill(reader))
    onward: asyncio.StreamWriter | None = None
    try:
        if await _gave_up(gate, there):
            # It was cut off all the time: the other side must never hear of it.
            raise ConnectionAbortedError("the client left before the link was mended")
        answers, onward = await asyncio.open_connection(await gate.upstream(), gate.rules.upstream)
        async with asyncio.TaskGroup() as both_ways:
            both_ways.create_task(there.drain(onward))
            both_ways.create_task(back.fill(answers))
            both_ways.create_task(back.drain(writer))
    except* (OSError, UnicodeError) as trouble:  # the latter: a name that cannot be one
        _log.debug("connection ended: %s", trouble.exceptions)
    finally:
        filling.cancel()
        for end in (writer, onward):
            if end:
                end.close()


async def _gave_up(gate: Gate, pipe: Pipe) -> bool:
    """Wait until traffic may pass; whether the sender left before that."""
    if not gate.rules.drop:
        return False
    waits = [asyncio.create_task(gate.opened()), asyncio.create_task(pipe.ended.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return gate.rules.drop


class Link:
    """The relay of one file of rules."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.gate = Gate(parse(file.read_text()))

    def reload(self) -> None:
        """Read the rules again; bad ones are named in the log and change nothing."""
        try:
            rules = parse(self.file.read_text())
        except (OSError, ValueError, TypeError) as trouble:
            _log.error("cannot use %s, keeping the rules in force: %s", self.file, trouble)
            return
        here = self.gate.rules
        if (rules.host, rules.listen) != (here.host, here.listen):
            _log.warning("a new 'listen' or 'host' needs a restart; still listening on %s:%s", here.host, here.listen)
            rules = rules._replace(host=here.host, listen=here.listen)
        self.gate.set(rules)
        self._applied()

    def _applied(self) -> None:
        _log.info("%s", self.gate.rules)
        path = Path("data", self.file.stem, "applied.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".tmp")
        fresh.write_text(json.dumps({**self.gate.rules._asdict(), "pid": os.getpid()}) + "\n")
        fresh.replace(path)

    async def serve(self) -> None:
        """Relay until SIGTERM or SIGINT."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, done.set)
        connections: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = loop.create_task(relay(self.gate, reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)

        rules = self.gate.rules
        server = await asyncio.start_server(accept, rules.host, rules.listen, backlog=512)
        _log.info("listening on %s:%s, upstream %s:%s", rules.host, rules.listen, rules.upstream_host, rules.upstream)
        self._applied()
        await done.wait()
        server.close()
        _log.info("stopped with %s connections open", len(connections))


def _pretty(rules: Rules) -> str:
    return json.dumps(rules._asdict(), indent=2) + "\n"


def main(arguments: list[str]) -> int:
    """Run the link of the file named on the command line, which is written first if rules for it are given."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if len(arguments) not in (1, 2):
        _log.error("usage: python -m operatorlab.deploy.link FILE [RULES]")
        return 2
    file = Path(arguments[0])
    try:
        if len(arguments) == 2:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_pretty(parse(arguments[1])))
        link = Link(file)
    except (OSError, ValueError, TypeError) as trouble:
        _log.error("cannot use %s: %s", file, trouble)
        return 2
    asyncio.run(link.serve())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
