"""The ways into a closed network: what a client could tell apart without them, it can still tell apart."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from operatorlab.deploy.ingress import Forward, parse
from operatorlab.deploy.ports import reserve

_FIFTY_MB = 50 << 20
_PIECE = bytes(range(256)) * 256
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def running(*forwards: dict[str, object], fds: tuple[int, ...] = ()) -> AsyncIterator[asyncio.subprocess.Process]:
    """The forwards in a process of their own, ready; it must end well at SIGTERM."""
    command = (sys.executable, "-P", "-m", "operatorlab.deploy.ingress", json.dumps(forwards))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, pass_fds=fds)
    assert process.stdout
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@asynccontextmanager
async def forwarding(serve: Serve) -> AsyncIterator[int]:
    """A port that leads to `serve`."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reservation = reserve(["listen"], {})
    reservation.release()
    listen, upstream = reservation.ports["listen"], server.sockets[0].getsockname()[1]
    async with running({"listen": listen, "upstream_host": "127.0.0.1", "upstream_port": upstream}):
        yield listen
    server.close()


async def connect(port: int) -> Streams:
    return await asyncio.open_connection("127.0.0.1", port)


def reset(writer: asyncio.StreamWriter) -> None:
    """Go away as a process that crashes does."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def gone(reader: asyncio.StreamReader) -> None:
    """The other side resets the connection, soon."""
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 5)


async def _ask(port: int) -> None:
    reader, writer = await connect(port)
    try:
        writer.write(b"anyone there?")
        await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "." * 300])
async def test_where_nobody_listens_the_connection_is_reset(host: str):
    ports = reserve(["listen", "nobody"], {})
    ports.release()
    forward = {"listen": ports.ports["listen"], "upstream_host": host, "upstream_port": ports.ports["nobody"]}
    async with running(forward):
        for _ in range(3):
            with pytest.raises(ConnectionResetError):  # perhaps already while it is made
                await asyncio.wait_for(_ask(ports.ports["listen"]), 30)


async def test_each_side_hears_of_the_other_s_end_and_can_still_send():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.read()
        writer.write(b"after your end: " + heard)
        writer.close()

    async with forwarding(serve) as port:
        reader, writer = await connect(port)
        writer.write(b"hello")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b"after your end: hello"
        writer.close()


async def test_the_end_of_the_upstream_comes_first_and_the_client_still_sends():
    heard = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()
        heard.set_result(await reader.read())
        writer.close()

    async with forwarding(serve) as port:
        reader, writer = await connect(port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.write(b"after your end")
        writer.write_eof()
        assert await asyncio.wait_for(heard, 5) == b"after your end"
        writer.close()


async def test_a_reset_of_the_upstream_reaches_the_client():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset(writer)

    async with forwarding(serve) as port:
        reader, writer = await connect(port)
        writer.write(b"x")
        await gone(reader)
        writer.close()


async def test_a_reset_of_the_client_reaches_the_upstream():
    lost = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(1))
        await asyncio.gather(reader.read(), return_exceptions=True)
        lost.set_result(reader.exception())
        writer.close()

    async with forwarding(serve) as port:
        reader, writer = await connect(port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        reset(writer)
        assert isinstance(await asyncio.wait_for(lost, 5), ConnectionResetError)


async def test_a_hung_upstream_just_hangs():
    server = socket.create_server(("127.0.0.1", 0))  # the kernel accepts, nobody answers
    ports = reserve(["listen"], {})
    ports.release()
    upstream = server.getsockname()[1]
    async with running({"listen": ports.ports["listen"], "upstream_host": "127.0.0.1", "upstream_port": upstream}):
        reader, writer = await connect(ports.ports["listen"])
        writer.write(b"anyone there?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        writer.close()
    server.close()


async def _send(writer: asyncio.StreamWriter) -> None:
    for _ in range(_FIFTY_MB // len(_PIECE)):
        writer.write(_PIECE)
        await writer.drain()
    writer.write_eof()


async def _digest(reader: asyncio.StreamReader) -> str:
    """Of all that arrives, read with pauses so that the sender has to wait."""
    found, read = hashlib.sha256(), 0
    while data := await reader.read(1 << 20):
        found.update(data)
        read += len(data)
        if read % 7 == 0:
            await asyncio.sleep(0.001)
    return found.hexdigest()


async def test_fifty_megabytes_pass_unchanged_both_ways_at_once():
    expected = hashlib.sha256(_PIECE * (_FIFTY_MB // len(_PIECE))).hexdigest()
    heard = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, digest = await asyncio.gather(_send(writer), _digest(reader))
        heard.set_result(digest)
        writer.close()

    async with forwarding(serve) as port:
        reader, writer = await connect(port)
        _, digest = await asyncio.wait_for(asyncio.gather(_send(writer), _digest(reader)), 60)
        assert (digest, await heard) == (expected, expected)
        writer.close()


async def test_a_sender_has_to_wait_for_a_receiver_that_does_not_read():
    wait = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await wait.wait()
        writer.transport.abort()

    async with forwarding(serve) as port:
        _, writer = await connect(port)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_send(writer), 1)
        writer.transport.abort()
        wait.set()


async def test_a_listening_socket_can_be_inherited_and_several_forwards_share_a_process():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream = {"upstream_host": "127.0.0.1", "upstream_port": server.sockets[0].getsockname()[1]}
    ports = reserve(["listen"], {})
    ports.release()
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        forwards = ({"fd": inherited.fileno(), **upstream}, {"listen": ports.ports["listen"], **upstream})
        async with running(*forwards, fds=(inherited.fileno(),)):
            for port in (inherited.getsockname()[1], ports.ports["listen"]):
                reader, writer = await connect(port)
                writer.write(b"hello")
                writer.write_eof()
                assert await asyncio.wait_for(reader.read(), 5) == b"hello"
                writer.close()
    server.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '[{"listen": 1}]',
        '[{"upstream_host": "a", "upstream_port": 1}]',
        '[{"listen": 1, "fd": 3, "upstream_host": "a", "upstream_port": 1}]',
        '[{"listen": 1, "upstream_host": "a", "upstream_port": 1, "x": 1}]',
    ],
)
def test_what_is_no_list_of_forwards_is_refused(text: str):
    with pytest.raises(ValueError, match=r"forward|Expecting"):
        parse(text)


def test_a_forward_listens_on_loopback_unless_told():
    assert parse('[{"listen": 1, "upstream_host": "a", "upstream_port": 2}]') == [Forward("a", 2, 1, "127.0.0.1", None)]


async def test_a_port_in_use_is_said_and_ends_it(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        forward = {"listen": taken.getsockname()[1], "upstream_host": "127.0.0.1", "upstream_port": 1}
        command = (sys.executable, "-m", "operatorlab.deploy.ingress", json.dumps([forward]))
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        _, told = await process.communicate()
    assert process.returncode == 2
    assert b"cannot forward" in told
    assert b"in use" in told
