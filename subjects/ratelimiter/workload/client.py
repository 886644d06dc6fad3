"""Asks a node, over connections that stay open.

A client library spends 1.5 ms of CPU on such a request, more than the node that answers it, and would
make the load generator the heaviest process of the lab; this spends a tenth of that.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from enum import Enum

_MAX_ANSWER = 65_536


class Seen(Enum):
    """How one request ended for its client."""

    ALLOWED = "allowed"
    DENIED = "denied"
    ERROR = "error"


class BadAnswer(Exception):
    """What came back is not an answer of a node."""


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def usable(self) -> bool:
        return not (self.writer.is_closing() or self.reader.at_eof() or self.reader.exception())

    def drop(self) -> None:
        """Close it at once, whatever is under way."""
        self.writer.transport.abort()


@dataclass(slots=True)
class NodeClient:
    """One node's clients. `timeout_s` bounds a request from connect to answer."""

    host: str
    port: int
    timeout_s: float = 1.0
    _idle: list[_Connection] = field(default_factory=list)

    async def check(self, key: str) -> Seen:
        """May `key` go ahead? Whatever goes wrong is an ERROR, never an exception."""
        connection = None
        try:
            async with asyncio.timeout(self.timeout_s):
                connection = self._take() or await self._connect()
                seen = await _ask(connection, self.host, key)
        except (OSError, EOFError, TimeoutError, ValueError, RecursionError, asyncio.LimitOverrunError, BadAnswer):
            seen = Seen.ERROR
            if connection:
                connection.drop()
        else:
            self._idle.append(connection)
        return seen

    async def close(self) -> None:
        """Drop the connections that are idle."""
        while self._idle:
            self._idle.pop().drop()
        await asyncio.sleep(0)  # an aborted transport lets go of its socket in the loop's next turn

    def _take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.drop()
        return None

    async def _connect(self) -> _Connection:
        return _Connection(*await asyncio.open_connection(self.host, self.port, limit=_MAX_ANSWER))


async def _ask(connection: _Connection, host: str, key: str) -> Seen:
    body = json.dumps({"key": key}).encode()
    head = f"POST /check HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    connection.writer.write(head.encode() + b"\r\n" + body)
    status, length = _understand(await connection.reader.readuntil(b"\r\n\r\n"))
    answer = json.loads(await connection.reader.readexactly(length))
    if status != 200:
        return Seen.ERROR
    allowed = answer.get("allowed") if isinstance(answer, dict) else None
    if not isinstance(allowed, bool):
        raise BadAnswer(f"no decision in {answer!r}")
    return Seen.ALLOWED if allowed else Seen.DENIED


def _understand(head: bytes) -> tuple[int, int]:
    """Status and length of the body; ValueError or BadAnswer if the head has none."""
    first, *fields = head.split(b"\r\n")
    for line in fields:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and int(value) <= _MAX_ANSWER:
            return int(first.partition(b" ")[2][:3]), int(value)
    raise BadAnswer(f"no usable length in {head[:80]!r}")
