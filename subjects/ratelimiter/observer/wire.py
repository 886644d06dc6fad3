"""HTTP/1.1 to one node over connections that are kept: few microseconds a request, and news when one breaks.

A monitor asks the same few pages of every node twice a second, for ever; a general client costs most of its time.
What it also cannot do is tell that a connection nobody uses at the moment was ended: for a node that dies, the
kernel does so at once. Responses are parsed by `httptools`, as uvicorn parses requests.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

import httptools

from operatorlab.subject import Json

_KEPT_S = 4.0
"""How long a connection may be idle and still be used; a node ends it after five seconds."""
_MOST_KEPT = 8
_LONGEST_BODY = 1 << 22


class Broken(ConnectionError):
    """The connection ended before the answer did, or what came was no HTTP."""


class Response(NamedTuple):
    """An answer."""

    status: int
    body: bytes

    @property
    def object(self) -> Mapping[str, Json]:
        """Its JSON object; empty if it is anything else."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return cast("dict[str, Json]", found) if isinstance(found, dict) else {}


class Wire:
    """The connections to one address. `on_break` is called when one that was idle, and fresh, is ended from there."""

    def __init__(self, address: tuple[str, int], on_break: Callable[[], None] = lambda: None) -> None:
        self.address = address
        self._on_break = on_break
        self._host = f"{address[0]}:{address[1]}".encode()
        self._idle: list[_Connection] = []
        self._closed = False

    async def ask(self, method: str, path: str, body: Mapping[str, Json] | None = None) -> Response:
        """One answer, over a kept connection if there is one; a connection that breaks is replaced once, at once.

        Broken or another OSError if there is no answer. Cancelling it ends its connection.
        """
        request = self._request(method, path, body)
        try:
            return await self._over(self._take() or await self._connect(), request)
        except Broken:  # the other end has gone: only a new connection tells whether anybody is there
            return await self._over(await self._connect(), request)

    def close(self) -> None:
        """Let go of every connection."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    async def _over(self, connection: _Connection, request: bytes) -> Response:
        try:
            response = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if connection.keeps and not self._closed and len(self._idle) < _MOST_KEPT:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def _take(self) -> _Connection | None:
        """The connection used last; those that have been idle for too long are let go."""
        now = time.monotonic()
        while self._idle and now - self._idle[0].idle_since > _KEPT_S:
            self._idle.pop(0).close()
        return self._idle.pop() if self._idle else None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: _Connection(self._lost), *self.address))[1]

    def _lost(self, connection: _Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
            if time.monotonic() - connection.idle_since <= _KEPT_S:
                self._on_break()

    def _request(self, method: str, path: str, body: Mapping[str, Json] | None) -> bytes:
        head = b"%b %b HTTP/1.1\r\nHost: %b\r\nAccept: */*\r\n" % (method.encode(), path.encode(), self._host)
        if body is None:
            return head + b"\r\n"
        text = json.dumps(body).encode()
        return head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


class _Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    _transport: asyncio.Transport

    def __init__(self, on_lost: Callable[[_Connection], None]) -> None:
        self._on_lost = on_lost
        self._waiting: asyncio.Future[Response] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._body = bytearray()
        self._gone: Exception | None = None
        self.keeps = False
        self.idle_since = 0.0

    async def ask(self, request: bytes) -> Response:
        """The answer to `request`. Broken if the connection ends, or is ended already."""
        if self._gone is not None:
            raise Broken(str(self._gone)) from self._gone
        self._parser, self._body, self.keeps = httptools.HttpResponseParser(self), bytearray(), False
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def close(self) -> None:
        """End it; nobody is told."""
        self._on_lost = lambda _: None
        self._transport.abort()

    # ── asyncio.Protocol ───────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._parser is None:
            self._fail(Broken("it sent what nobody had asked for"))
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as trouble:
            self._fail(Broken(f"it does not speak HTTP: {trouble}"))

    def connection_lost(self, trouble: Exception | None) -> None:
        self._fail(Broken(str(trouble) if trouble else "it ended before the answer did"))
        self._on_lost(self)

    def _fail(self, trouble: Broken) -> None:
        self._gone = self._gone or trouble
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(trouble)
        self._transport.abort()

    # ── httptools ──────────────────────────────────────────────────────────────────────────────

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body += body
        if len(self._body) > _LONGEST_BODY:
            self._fail(Broken("its answer does not end"))

    def on_message_complete(self) -> None:
        """The whole answer has come."""
        assert self._parser is not None
        self.keeps = self._parser.should_keep_alive() and self._gone is None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Response(self._parser.get_status_code(), bytes(self._body)))
