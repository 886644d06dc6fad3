"""HTTP over kept connections: what is answered, what breaks, and when a break is news."""

import asyncio
import contextlib

import pytest

from subjects.ratelimiter.observer.wire import Broken, Response, Wire

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """Answers each request with what it is given, and can end every connection."""

    def __init__(self):
        self.requests = []
        self.connections = []
        self.answer = OK

    async def serve(self, reader, writer):
        self.connections.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                self.requests.append((head, body))
                writer.write(self.answer)
        writer.close()

    def end_all(self):
        for writer in self.connections:
            writer.close()


@pytest.fixture
async def server():
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.address = listening.sockets[0].getsockname()[:2]
        yield server
        listening.close()
        server.end_all()


@pytest.fixture
def broken():
    return asyncio.Event()


@pytest.fixture
def wire(server, broken):
    with contextlib.closing(Wire(server.address, broken.set)) as wire:
        yield wire


async def test_one_connection_serves_one_request_after_the_other(wire, server):
    assert [await wire.ask("GET", "/health") for _ in range(3)] == [Response(200, b"{}")] * 3
    assert len(server.connections) == 1
    assert server.requests[0][0].startswith(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:")


async def test_requests_at_once_get_connections_of_their_own(wire, server):
    await asyncio.gather(*(wire.ask("GET", "/") for _ in range(3)))
    assert len(server.connections) == 3


async def test_a_body_is_sent_as_json(wire, server):
    await wire.ask("POST", "/check", {"key": "ü", "cost": 2})
    head, body = server.requests[0]
    assert b"Content-Type: application/json" in head
    assert body == b'{"key": "\\u00fc", "cost": 2}'


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 503, b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx", 200, b"x"),
    ],
)
async def test_every_kind_of_framing(wire, server, answer, status, body):
    server.answer = answer
    assert await wire.ask("GET", "/") == Response(status, body)


async def test_a_connection_that_is_to_be_closed_is_not_used_again(wire, server):
    server.answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    await wire.ask("GET", "/")
    await wire.ask("GET", "/")
    assert len(server.connections) == 2


async def test_an_idle_connection_that_breaks_is_news_and_is_replaced(wire, server, broken):
    await wire.ask("GET", "/")
    server.end_all()
    await broken.wait()
    assert (await wire.ask("GET", "/")).status == 200
    assert len(server.connections) == 2


async def test_one_that_was_idle_for_long_is_ended_by_any_server_and_no_news(wire, server, broken):
    await wire.ask("GET", "/")
    wire._idle[0].idle_since -= 60
    server.end_all()
    while wire._idle:  # noqa: ASYNC110  that it tells nobody is the point
        await asyncio.sleep(0)
    assert not broken.is_set()


async def test_what_is_no_http_is_broken(wire, server):
    server.answer = b"-ERR wrong protocol\r\n"
    with pytest.raises(Broken, match="does not speak HTTP"):
        await wire.ask("GET", "/")
    assert len(server.connections) == 2, "a connection that breaks is replaced once"


async def test_an_answer_without_an_end_is_cut(wire, server):
    server.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n" + bytes(1 << 22) + b"x"
    with pytest.raises(Broken, match="does not end"):
        await wire.ask("GET", "/")


async def test_nobody_there_is_an_error_of_the_system(wire, server):
    with contextlib.closing(Wire(("127.0.0.1", 1))) as nobody, pytest.raises(ConnectionRefusedError):
        await nobody.ask("GET", "/")


async def test_giving_up_ends_the_connection_and_the_next_request_has_its_own(wire, server):
    server.answer = b""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await wire.ask("GET", "/")
    server.answer = OK
    assert await wire.ask("GET", "/") == Response(200, b"{}")
    assert len(server.connections) == 2


@pytest.mark.parametrize("body", [b"", b"[1]", b"no", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_an_empty_one(body):
    assert Response(200, body).object == {}
