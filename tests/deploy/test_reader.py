"""The way to look and touch nothing: whatever is sent, what arrives upstream is one plain read, or nothing."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from operatorlab.deploy.ports import reserve
from operatorlab.deploy.reader import Reader, Refused, understood

ROUTES = {"node-1": 8000, "prometheus": 9090}
PLAIN = re.compile(
    rb"(GET|HEAD) /[!-~]* HTTP/1\.1\r\nHost: (node-1(:8000)?|node-1:)\r\nConnection: close\r\n\r\n"
)  # what may ever go upstream


@dataclass
class Upstream:
    """A service behind a reader. `asked` is every byte that arrived, by connection."""

    port: int = 0
    reader: int = 0
    asked: list[bytes] = field(default_factory=list)
    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfine"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(said)
        if self.answer:
            writer.write(self.answer)
            writer.write_eof()
        self.asked[-1] += await reader.read()  # whatever was smuggled behind it
        writer.close()

    async def ask(self, raw: bytes) -> bytes:
        """Everything the reader answers to the bytes `raw`, in which PORT is the service's."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.reader)
        writer.write(raw.replace(b"PORT", str(self.port).encode()))
        try:
            async with asyncio.timeout(8):
                return await reader.read()
        finally:
            writer.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with behind(Upstream()) as service:
        yield service


@asynccontextmanager
async def behind(service: Upstream) -> AsyncIterator[Upstream]:
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    serving = Reader({"127.0.0.1": service.port})
    front = await asyncio.start_server(partial(serving.serve, service.port), "127.0.0.1", 0, limit=16 * 1024)
    service.reader = front.sockets[0].getsockname()[1]
    async with server, front:
        yield service


async def test_a_read_passes_with_nothing_but_its_host(upstream: Upstream):
    said = await upstream.ask(
        b"GET /api/limits?a=1 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nCookie: x\r\nX-Forwarded-For: y\r\n\r\n"
    )
    assert said.endswith(b"\r\n\r\nfine")
    (asked,) = upstream.asked
    assert asked.split(b"\r\n") == [
        b"GET /api/limits?a=1 HTTP/1.1", f"Host: 127.0.0.1:{upstream.port}".encode(), b"Connection: close", b"", b"",
    ]  # fmt: skip


HOST = b"Host: 127.0.0.1:PORT\r\n"
WRITES = {
    "POST": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n",
    "PUT": b"PUT / HTTP/1.1\r\n" + HOST + b"\r\n",
    "DELETE": b"DELETE /api/limits/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT 127.0.0.1:PORT HTTP/1.1\r\n" + HOST + b"\r\n",
    "lower case": b"post / HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute form": b"GET http://127.0.0.1:PORT/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a body by length": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nPOST",
    "a body in chunks": b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a body, in capitals": b"GET / HTTP/1.1\r\n" + HOST + b"TRANSFER-ENCODING: chunked\r\n\r\n",
    "an upgrade": b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\n\r\n",
    "a folded line": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n Content-Length: 4\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length : 4\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\nPOST / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a line feed in a header": b"GET / HTTP/1.1\r\n" + HOST + b"A: b\nContent-Length: 4\r\n\r\n",
    "a space in the path": b"GET / HTTP/1.1 /x HTTP/1.1\r\n" + HOST + b"\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "another port": b"GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n",
    "another host": b"GET / HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n",
    "a user": b"GET / HTTP/1.1\r\nHost: a@127.0.0.1:PORT\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "a head without end": b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000,
    "a header that takes long to read": b"GET / HTTP/1.1\r\n" + HOST + b"A:" + b" " * 15_000 + b"\x80\r\n\r\n",
}


@pytest.mark.parametrize("case", WRITES)
async def test_what_is_not_a_plain_read_reaches_nobody(upstream: Upstream, case: str):
    began = time.monotonic()
    assert re.match(rb"HTTP/1.1 4\d\d ", await upstream.ask(WRITES[case]))
    assert upstream.asked == []
    assert time.monotonic() - began < 2


async def test_a_second_request_behind_the_first_is_not_read(upstream: Upstream):
    raw = b"GET / HTTP/1.1\r\n" + HOST + b"\r\nPOST /api/x HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\nx"
    assert (await upstream.ask(raw)).count(b"HTTP/1.1 ") == 1
    assert len(upstream.asked) == 1
    assert b"POST" not in upstream.asked[0]


async def test_many_connections_wear_nobody_out(upstream: Upstream):
    held = [await asyncio.open_connection("127.0.0.1", upstream.reader) for _ in range(64)]
    good = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    try:
        assert (await upstream.ask(good)).startswith(b"HTTP/1.1 503 ")
    finally:
        for _, writer in held:
            writer.close()
    await _until(good, upstream, b"HTTP/1.1 200 ")
    assert len(upstream.asked) == 1


async def _until(raw: bytes, upstream: Upstream, wanted: bytes) -> None:
    async with asyncio.timeout(8):
        while not (await upstream.ask(raw)).startswith(wanted):
            pass


@pytest.mark.slow
async def test_a_service_that_hangs_keeps_no_place(upstream: Upstream):
    upstream.answer = b""
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.reader)
    writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % upstream.port)
    async with asyncio.timeout(15):
        assert await reader.read() == b""
    writer.close()


NOISE = st.binary(max_size=200) | st.lists(
    st.sampled_from(
        [
            b"GET ",
            b"HEAD ",
            b"POST ",
            b"/",
            b"/a%0d%0aX: y",
            b" ",
            b"HTTP/1.1",
            b"HTTP/1.0",
            b"\r\n",
            b"\n",
            b"\r",
            b"Host: node-1",
            b"Host: node-1:8000",
            b"host:prometheus",
            b"Content-Length: 3",
            b"Transfer-Encoding: chunked",
            b": ",
            b"\x00",
            b"\xc2\xa0",
            b"A: b",
            b"\t",
        ]
    ),
    max_size=12,
).map(b"".join)


@given(NOISE | NOISE.map(lambda rest: b"GET / HTTP/1.1\r\nHost: node-1\r\n" + rest))
@example(b"GET / HTTP/1.1\r\nHost: node-1:")
@example(b"HEAD /a?b HTTP/1.0\r\nHost:\tnode-1:8000 \r\nA: b")
def test_whatever_is_sent_goes_on_as_one_plain_read_or_not_at_all(head: bytes):
    with suppress(Refused):
        name, request = understood(head + b"\r\n\r\n", 8000, ROUTES)
        assert name == "node-1"
        assert PLAIN.fullmatch(request)


async def _started(told: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-P", "-m", "operatorlab.deploy.reader", told)
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)


async def test_it_runs_by_itself_until_told_to_end():
    reservation = reserve(["reader"], {})
    port = reservation.ports["reader"]
    reservation.release()
    process = await _started(json.dumps({"no-such-host.invalid": port}))
    assert process.stdout
    assert await process.stdout.readline() == b"ready\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: no-such-host.invalid\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 502 ")
    writer.close()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


@pytest.mark.parametrize("told", ["", "[]", '{"a": "b"}', '{"a": 99999}'])
async def test_routes_that_are_none_are_an_error(told: str):
    process = await _started(told)
    _, said = await process.communicate()
    assert process.returncode == 2, said
    assert said.startswith(b"cannot read for")
