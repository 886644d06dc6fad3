"""The clients against real sockets: whatever a node does, a client ends in time and the load goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from subjects.ratelimiter.workload.client import NodeClient, Seen

_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def _server(serve: _Serve) -> AsyncIterator[int]:
    connections: set[asyncio.Task[None] | None] = set()

    async def connected(reader, writer):
        connections.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*connections)  # every client is gone by now


def _answering(*answers: bytes) -> _Serve:
    async def serve(reader, writer):
        for answer in answers:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            assert set(json.loads(await reader.readexactly(length))) == {"key"}
            writer.write(answer)
            await writer.drain()

    return serve


def _http(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


_ALLOWED, _DENIED = _http('{"allowed": true}'), _http('{"allowed": false}')
_BROKEN = {
    "an error": _http("{}", "503 Service Unavailable"),
    "no JSON": _http("what"),
    "no decision": _http('{"allowed": 1}'),
    "a list": _http("[]"),
    "deep": _http("[" * 60_000),
    "no length": b"HTTP/1.1 200 OK\r\n\r\n",
    "a wrong length": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "a huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
    "no status": b"HTTP\r\nContent-Length: 2\r\n\r\n{}",
    "an endless head": b"x" * 200_000,
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{",
    "nothing": b"",
}


async def test_one_connection_serves_many_checks():
    async with _server(_answering(_ALLOWED, _DENIED, _ALLOWED)) as port:
        client = NodeClient("127.0.0.1", port)
        assert [await client.check("k") for _ in range(3)] == [Seen.ALLOWED, Seen.DENIED, Seen.ALLOWED]
        await client.close()


@pytest.mark.parametrize("answer", _BROKEN.values(), ids=_BROKEN.keys())
async def test_a_broken_answer_is_an_error(answer):
    async with _server(_answering(answer)) as port:
        client = NodeClient("127.0.0.1", port, timeout_s=5)
        assert await client.check("k") is Seen.ERROR
        await client.close()


async def test_silence_is_an_error_after_the_time_out():
    async def silent(reader, writer):
        await reader.read()

    async with _server(silent) as port:
        began = asyncio.get_running_loop().time()
        client = NodeClient("127.0.0.1", port, timeout_s=0.2)
        assert await client.check("k") is Seen.ERROR
        await client.close()
        assert 0.15 < asyncio.get_running_loop().time() - began < 2


async def test_a_connection_the_node_closed_is_not_used_again():
    async with _server(_answering(_ALLOWED)) as port:  # each connection is closed after one answer
        client = NodeClient("127.0.0.1", port)
        for _ in range(5):
            assert await client.check("k") is Seen.ALLOWED
            await asyncio.sleep(0.05)  # let the end of the connection arrive
        await client.close()


async def test_the_process_records_until_sigterm_and_counts_dead_nodes_as_errors(tmp_path):
    record = tmp_path / "record.jsonl"

    async def forever(reader, writer):
        while True:
            await _answering(_ALLOWED)(reader, writer)

    async with _server(forever) as port:
        nodes = f"127.0.0.1:{port},127.0.0.1:1"
        options = ("--nodes", nodes, "--load", "full", "--seed", "7", "--record", str(record))
        load = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "subjects.ratelimiter.workload", *options
        )
        async with asyncio.timeout(30):
            while not record.exists() or record.read_text().count("\n") < 5:  # noqa: ASYNC110 — a file tells no one
                await asyncio.sleep(0.02)
            load.send_signal(signal.SIGTERM)
            assert await load.wait() == 0
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert len(lines) >= 6, "the last, shorter span is written too"
    assert sum(line["allowed"] for line in lines) > 0
    assert sum(line["errors"] for line in lines) > 0
    assert all(line["span_s"] >= 0.09 for line in lines[:-1])
    assert [line["monotonic"] for line in lines] == sorted(line["monotonic"] for line in lines)


async def test_a_record_that_cannot_be_written_ends_the_load_loudly(tmp_path):
    options = ("--nodes", "127.0.0.1:1", "--record", str(tmp_path / "none" / "record"))
    load = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "subjects.ratelimiter.workload", *options, stderr=asyncio.subprocess.PIPE
    )
    _, said = await load.communicate()
    assert load.returncode == 1
    assert b"No such file" in said
