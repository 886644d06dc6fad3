"""Reading one HTTP request strictly, and writing requests and answers anew.

h11 parses; what two parsers could read in two ways (both kinds of length, repeated lengths, HTTP/1.0,
folded lines) is refused before anybody acts on it. Nothing of the original bytes is ever passed on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import h11

from operatorlab.sandbox.guard.refusal import Refused, malformed

HEAD_LIMIT = 32 * 1024
"""Bytes a request's line and headers may have."""
BODY_LIMIT = 1024 * 1024
"""Bytes a request's body may have."""
_ONCE = (b"host", b"content-length", b"transfer-encoding", b"content-type", b"upgrade")
_REFUSED_HEADERS = (b"expect", b"trailer", b"content-encoding")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was asked. `rest` is what came after its end: the first bytes of a hijacked stream."""

    method: str
    target: str
    upgrade: bool
    body: bytes
    rest: bytes


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The one request of a connection, None if there is none. Refused if it can be read in two ways or is too large."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
    asked: h11.Request | None = None
    body = bytearray()
    while True:
        event = await _next(connection, reader)
        if isinstance(event, h11.Request):
            _check_head(event)
            asked = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_LIMIT:
                raise Refused(f"a body may have at most {BODY_LIMIT} bytes", status=413)
        elif isinstance(event, h11.EndOfMessage):
            assert asked is not None
            if list(event.headers):
                raise malformed("trailers are not taken")
            return _request(asked, bytes(body), bytes(connection.trailing_data[0]))
        elif asked is None:
            return None
        else:
            raise malformed("the request ends too early")


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    """The next event, reading on as needed."""
    try:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await reader.read(64 * 1024))
    except h11.RemoteProtocolError as wrong:
        raise malformed(f"not HTTP: {wrong}") from wrong
    return event


def _check_head(head: h11.Request) -> None:
    names = [name for name, _ in head.headers]
    if head.http_version != b"1.1":
        raise malformed("only HTTP/1.1 is spoken here")
    if any(names.count(name) > 1 for name in _ONCE):
        raise malformed("a header that may come once came twice")
    if b"content-length" in names and b"transfer-encoding" in names:
        raise malformed("a body has either a length or chunks")
    for name, value in head.headers:
        if name in _REFUSED_HEADERS:
            raise malformed(f"the header {name.decode()} is not taken")
        if name == b"content-length" and not value.isdigit():
            raise malformed("the length of the body is not a number")


def _request(head: h11.Request, body: bytes, rest: bytes) -> Request:
    headers = dict(head.headers)
    upgrade = headers.get(b"upgrade")
    if upgrade not in (None, b"tcp"):
        raise malformed("only Upgrade: tcp is taken")
    return Request(head.method.decode("ascii"), head.target.decode("ascii"), upgrade is not None, body, rest)


def request_bytes(method: str, target: str, body: object = None, *, upgrade: bool = False) -> bytes:
    """A request for the daemon; `body` is JSON data."""
    content = b"" if body is None else json.dumps(body, ensure_ascii=True).encode()
    lines = [f"{method} {target} HTTP/1.1", "Host: docker"]
    lines.append("Connection: Upgrade\r\nUpgrade: tcp" if upgrade else "Connection: close")
    if body is not None:
        lines.append("Content-Type: application/json")
    if method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(content)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + content


def answer_bytes(status: int, data: object, headers: Mapping[str, str], *, head_only: bool = False) -> bytes:
    """An answer of the guard's own: JSON, and the connection ends."""
    content = json.dumps(data).encode() + b"\n"
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(content)}", "Connection: close", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + (b"" if head_only else content)
