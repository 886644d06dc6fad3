"""Clients that insist: they go to the next node, ask again after a failure of all, and are content with an answer."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator

from subjects.ratelimiter.workload import insistent
from subjects.ratelimiter.workload.insistent import come_together, insist


async def request(reader) -> str:
    """The key that is asked for."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return json.loads(await reader.readexactly(int(length.partition(b":")[2])))["key"]


@contextlib.asynccontextmanager
async def node(answers: Iterator[int], asked: list[int], port: int = 0) -> AsyncIterator[str]:
    """A node that gives these answers, in turn, to whoever asks; hangs up where one is 0."""

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await request(reader)
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


async def test_how_long_a_client_pauses_after_a_failure_can_be_said():
    hasty, patient = [], []
    refusals = itertools.repeat(503)
    async with node(refusals, hasty) as one, node(refusals, patient) as other:
        waiting = asyncio.create_task(insist([other], "batch-1", 0.0, 3600.0))
        insisting = asyncio.create_task(insist([one], "batch-1", 0.0, 0.0))
        await until(lambda: patient and len(hasty) >= 20, insisting)
        await until(lambda: True, waiting)
    assert len(patient) == 1


async def test_a_herd_waits_for_its_moment_and_each_tries_three_times():
    moments: list[float] = []

    def refusals() -> Iterator[int]:
        while True:
            moments.append(time.time())
            yield 503

    async with node(refusals(), []) as only:
        begin = time.time() + 0.1  # the first multiple of itself; the next is half a century away
        herd = asyncio.gather(*(come_together([only], f"batch-{number}", begin) for number in range(2)))
        await until(lambda: len(moments) == 2 * 3, herd)
    assert min(moments) >= begin


async def test_the_program_has_many_clients_ask_for_one_key():
    keys: list[str] = []
    twice_each = asyncio.Event()

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                keys.append(await request(reader))
                writer.write(b"HTTP/1.1 200 said\r\nContent-Length: 0\r\n\r\n")
                if len(keys) == 2 * 3:
                    twice_each.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        nodes = (f"127.0.0.1:{server.sockets[0].getsockname()[1]}",)
        options = ("--clients", "3", "--every", "0.01", "--key", "tenant-a")
        program = await asyncio.create_subprocess_exec(sys.executable, insistent.__file__, *nodes, *options)
        async with asyncio.timeout(20):
            await twice_each.wait()
        program.kill()
        await program.wait()
    assert {*keys} == {"tenant-a"}
