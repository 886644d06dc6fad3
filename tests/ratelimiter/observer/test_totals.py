"""Redis' totals around the counters of a node that tells them late, or only when the next reading waits for them."""

import asyncio
import contextlib

import pytest
import redis.asyncio

from operatorlab.clock import SystemClock
from operatorlab.subject import MemberState
from subjects.ratelimiter.observer import Deadlines, RateLimiterObserver
from subjects.ratelimiter.observer.breaks import Breaks
from subjects.ratelimiter.observer.node_probe import NodeProbe
from subjects.ratelimiter.observer.readings import Readings
from subjects.ratelimiter.observer.redis_probe import RedisProbe
from subjects.ratelimiter.observer.wire import Wire
from subjects.ratelimiter.service import scripts
from subjects.ratelimiter.service.metrics import NodeMetrics

NODE = "node-9"
PATIENT = Deadlines(patience=0.2)


class Slow:
    """A node of which the test says when it may tell its counters."""

    def __init__(self):
        self.asked, self.may = asyncio.Event(), asyncio.Event()

    async def serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, *_ = head.split()
                if method == b"POST":
                    await reader.readexactly(int(head.rpartition(b"Content-Length: ")[2]))
                body = b"{}"
                if path == b"/metrics":
                    self.asked.set()
                    await self.may.wait()
                    body = NodeMetrics(NODE).exposition()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()


@pytest.fixture
async def slow():
    node = Slow()
    async with await asyncio.start_server(node.serve, "127.0.0.1", 0) as server:
        node.address = server.sockets[0].getsockname()[:2]
        yield node
        node.may.set()
        server.close()


@pytest.fixture
async def totals(deployment):
    """Says what the real Redis has counted for the node."""
    host, port = deployment.address("redis")
    async with redis.asyncio.Redis(host=host, port=port, protocol=2) as client:

        async def counted(total):
            await client.hset(scripts.TOTALS, NODE, total)

        yield counted


@pytest.fixture
async def observer(deployment, slow):
    async def runs(member):
        return MemberState.RUNNING

    with contextlib.closing(Wire(slow.address)) as wire:
        probe = RedisProbe(deployment.address("redis"))
        nodes = [NodeProbe(NODE, wire)]
        observer = RateLimiterObserver(nodes, probe, runs, Breaks(), deadlines=PATIENT, clock=SystemClock())
        yield observer
        await observer.close()
        await probe.close()


def compared(seen):
    readings = Readings.of(seen)
    return readings.nodes.keys(), dict(readings.counted_before), dict(readings.counted_after)


async def test_counters_that_come_in_time_lie_between_the_totals_of_their_reading(observer, slow, totals):
    slow.may.set()
    await totals(5)
    assert compared(await observer.observe()) == ({NODE}, {NODE: 5}, {NODE: 5})


async def test_of_counters_that_come_late_the_total_is_read_again_after_them(observer, slow, totals):
    await totals(5)
    looking = asyncio.create_task(observer.observe())
    await slow.asked.wait()
    await asyncio.sleep(PATIENT.patience + 0.05)  # the others' totals have been read by then
    await totals(7)
    slow.may.set()
    assert compared(await looking) == ({NODE}, {NODE: 5}, {NODE: 7})


async def test_counters_that_outlive_their_reading_keep_the_total_from_before_they_were_asked_for(
    observer, slow, totals
):
    await totals(5)
    assert compared(await observer.observe()) == (set(), {}, {})
    await totals(9)
    slow.may.set()
    assert compared(await observer.observe()) == ({NODE}, {NODE: 5}, {NODE: 9})


async def test_without_redis_counters_are_told_and_not_compared(observer, slow, deployment):
    slow.may.set()
    await deployment.kill("redis")
    assert compared(await observer.observe()) == ({NODE}, {}, {})
