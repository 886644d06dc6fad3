"""Clients that insist: they go to the next node, ask again after a failure of all, and are content with an answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from subjects.ratelimiter.workload.insistent import insist


@contextlib.asynccontextmanager
async def node(answers: Iterator[int], asked: list[int], port: int = 0) -> AsyncIterator[str]:
    """A node that gives these answers, in turn, to whoever asks; hangs up where one is 0."""

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                asked.append(status := next(answers))
                if status == 0:
                    break
                writer.write(f"HTTP/1.1 {status} said\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def until(true, insisting):
    while not true():
        await asyncio.sleep(0)
        assert not insisting.done()
    insisting.cancel()
    await asyncio.wait([insisting])


async def test_a_failure_is_asked_again_until_it_is_answered():
    asked: list[int] = []
    async with node(iter((503, 0, 200, 200)), asked) as only:
        insisting = asyncio.create_task(insist([only], "batch-1", 0.001))
        await until(lambda: len(asked) == 4, insisting)
    assert asked == [503, 0, 200, 200]


async def test_the_next_node_is_asked_where_the_first_fails_and_only_then():
    first, second = [], []
    async with node(iter((200, 503, 200, 200)), first) as home, node(iter((200,)), second) as other:
        insisting = asyncio.create_task(insist([home, other], "batch-1", 0.001))
        await until(lambda: len(first) == 4, insisting)
    assert (first, second) == ([200, 503, 200, 200], [200])


async def test_a_node_that_is_gone_is_left_for_the_next():
    asked: list[int] = []
    async with node(iter(()), []) as gone:
        pass
    async with node(iter((200, 200)), asked) as other:
        insisting = asyncio.create_task(insist([gone, other], "batch-1", 0.001))
        await until(lambda: len(asked) == 2, insisting)
    assert asked == [200, 200]
