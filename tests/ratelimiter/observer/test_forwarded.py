"""Members behind something that accepts for them: what ends at once is refused, what breaks off later is broken."""

import asyncio
import contextlib
import socket
import struct
import threading
import time

import pytest

from subjects.ratelimiter.observer.node_probe import NodeProbe
from subjects.ratelimiter.observer.redis_probe import RedisProbe
from subjects.ratelimiter.observer.silence import Kind, Silence
from subjects.ratelimiter.observer.wire import Wire

HALF_A_PAGE = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"
HALF_A_HEAD = b"HTTP/1.1 200 OK\r\ncontent-le"
HALF_A_REPLY = b"$10\r\nhalf"


async def closes(_, writer):
    writer.close()


async def resets(_, writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def reads_and_closes(reader, writer):
    await reader.read(4096)
    writer.close()


def says(half):
    async def serve(reader, writer):
        await reader.read(4096)  # all of it: to close on what is unread would be a reset
        writer.write(half)
        await writer.drain()
        writer.close()

    return serve


def once_then(first, then):
    """Serve the first connection one way and all others another way."""
    served = []

    async def serve(reader, writer):
        served.append(1)
        await (first if len(served) == 1 else then)(reader, writer)

    return serve


async def health(reader, writer):
    """One answer on a connection that says it will be kept; the next request finds it closed."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    await reader.read(1)
    writer.close()


@contextlib.asynccontextmanager
async def listening(serve):
    serving = set()

    async def to_the_end(reader, writer):
        serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
            await writer.wait_closed()

    async with await asyncio.start_server(to_the_end, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[:2]
        server.close()
        await asyncio.gather(*serving)


@contextlib.contextmanager
def resetting():
    """A thread that resets each connection as soon as it is there."""

    def serve():
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                accepted.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


async def stalling():
    """The loop learns of each event late, as it does on a busy machine."""
    while True:
        time.sleep(0.02)  # noqa: ASYNC251 — that it blocks is the point
        await asyncio.sleep(0)


async def silence_of_node(address):
    with contextlib.closing(Wire(address)) as wire, pytest.raises(Silence) as silence:
        await NodeProbe("node-1", wire).health()
    return silence.value


async def silence_of_redis(address):
    probe = RedisProbe(address)
    with pytest.raises(Silence) as silence:
        await probe.look(2.0)
    await probe.close()
    return silence.value


@pytest.mark.parametrize("ask", [silence_of_node, silence_of_redis])
@pytest.mark.parametrize("serve", [closes, resets, reads_and_closes])
async def test_a_fresh_connection_that_ends_before_the_first_byte_is_refused(serve, ask):
    async with listening(serve) as address:
        silence = await ask(address)
    assert silence.kind is Kind.REFUSED
    assert silence.why == f"closes connections at once on {address[0]}:{address[1]}"


@pytest.mark.parametrize("ask", [silence_of_node, silence_of_redis])
async def test_a_connection_that_was_reset_before_it_was_seen_to_be_made_is_refused(ask):
    with resetting() as address:
        stalls = asyncio.create_task(stalling())
        silence = await ask(address)
        stalls.cancel()
    assert (silence.kind, silence.why[:18]) == (Kind.REFUSED, "closes connections")


@pytest.mark.parametrize("half", [HALF_A_HEAD, HALF_A_PAGE])
async def test_an_answer_of_a_node_that_breaks_off_is_broken(half):
    async with listening(says(half)) as address:
        assert (await silence_of_node(address)).kind is Kind.BROKEN


async def test_a_reply_of_redis_that_breaks_off_is_broken():
    async with listening(says(HALF_A_REPLY)) as address:
        assert (await silence_of_redis(address)).kind is Kind.BROKEN


async def test_nobody_listening_is_refused_as_ever():
    async with listening(closes) as address:
        pass
    for ask in (silence_of_node, silence_of_redis):
        silence = await ask(address)
        assert (silence.kind, silence.why[:7]) == (Kind.REFUSED, "refuses")


async def test_a_kept_connection_that_broke_is_replaced_once_and_tells_nothing():
    async with listening(health) as address:
        with contextlib.closing(Wire(address)) as wire:
            node = NodeProbe("node-1", wire)
            assert [await node.health() for _ in range(3)] == [204, 204, 204]


async def test_a_node_that_only_closed_the_first_connection_lives():
    async with listening(once_then(closes, health)) as address:
        with contextlib.closing(Wire(address)) as wire:
            assert await NodeProbe("node-1", wire).health() == 204
