"""The relay between two members: it passes, drops without a sound, delays, and lets everything pass again."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from operatorlab.deploy.link import Rules, parse
from operatorlab.deploy.ports import reserve

_HERE = (psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT, psutil.CONN_SYN_RECV)


class Echo:
    """A server that sends back what it hears and counts who called."""

    def __init__(self) -> None:
        self.calls = 0
        self.heard = b""
        self.called = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        try:
            while data := await reader.read(1 << 16):
                self.heard += data
                self.called.set()
                writer.write(data)
                await writer.drain()
            writer.write(b"<end>")
        finally:
            writer.close()


class Relay:
    """A link in a process of its own, with what its log says."""

    def __init__(self, process: asyncio.subprocess.Process, file: Path, echo: Echo, listen: int) -> None:
        self.process, self.file, self.echo, self.listen = process, file, echo, listen
        self.log = ""

    async def says(self, text: str) -> None:
        """Wait for a line with `text` that was not read yet."""
        assert self.process.stderr
        while text not in (line := (await self.process.stderr.readline()).decode()):
            assert line, f"{text!r} was never logged:\n{self.log}"
            self.log += line

    async def rule(self, says: str, **rules: object) -> None:
        await asyncio.to_thread(self.file.write_text, json.dumps({**json.loads(self.file.read_text()), **rules}))
        self.process.send_signal(signal.SIGHUP)
        await self.says(says)

    async def forgets(self) -> None:
        """Wait until every connection that was made has gone."""
        while any(c.laddr.port == self.listen and c.status in _HERE for c in psutil.net_connections("tcp4")):  # noqa: ASYNC110  the kernel tells of it by no event
            await asyncio.sleep(0.01)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.listen)


@asynccontextmanager
async def relaying(
    folder: Path, *, upstream: int | None = None, given: bool = False, **more: object
) -> AsyncIterator[Relay]:
    reservation = reserve(["listen"], {})
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = upstream or server.sockets[0].getsockname()[1]
    file = folder / "a-b.json"
    rules = json.dumps({"source": "a", "target": "b", "listen": reservation.ports["listen"], "upstream": port, **more})
    if given:
        file = folder / "etc" / "links" / "a-b.json"
    else:
        file.write_text(rules)
    reservation.release()
    command = (sys.executable, "-m", "operatorlab.deploy.link", str(file), *([rules] if given else []))
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stderr=asyncio.subprocess.PIPE)
    relay = Relay(process, file, echo, reservation.ports["listen"])
    try:
        await relay.says("passing all traffic between a and b")
        yield relay
    finally:
        process.terminate()
        assert await process.wait() == 0
        server.close()


async def silent(reader: asyncio.StreamReader) -> None:
    """Nothing comes, not even an end, for as long as one would wait for an answer."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.3)


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    async with relaying(tmp_path) as one:
        yield one


async def test_everything_passes_both_ways_and_each_end_hears_of_the_other_s(relay: Relay):
    reader, writer = await relay.connect()
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    writer.write_eof()
    assert await reader.read() == b"<end>", "what the other side sends after our end still arrives"
    writer.close()


async def test_hosts_are_where_the_rules_say(tmp_path: Path):
    async with relaying(tmp_path, host="0.0.0.0", upstream_host="localhost") as relay:
        reader, writer = await asyncio.open_connection("127.0.0.2", relay.listen)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await relay.rule("still listening on 0.0.0.0", host="127.0.0.1")


@pytest.mark.parametrize("nowhere", ["no-such-host.invalid", "." * 300])
async def test_a_target_that_has_no_address_ends_the_connection(tmp_path: Path, nowhere: str):
    async with relaying(tmp_path, upstream_host=nowhere) as relay:
        reader, writer = await relay.connect()
        assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()


async def test_rules_on_the_command_line_replace_the_file_s(tmp_path: Path):
    async with relaying(tmp_path, given=True, delay_s=0) as relay:
        assert json.loads(relay.file.read_text())["drop"] is False
        await relay.rule("dropping", drop=True)
    async with relaying(tmp_path, given=True) as again:
        assert json.loads(again.file.read_text())["drop"] is False
        reader, writer = await again.connect()
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()


async def test_bad_rules_on_the_command_line_leave_the_file_alone(tmp_path: Path):
    file = tmp_path / "a-b.json"
    file.write_text("as it was")
    command = (sys.executable, "-m", "operatorlab.deploy.link", str(file), '{"source": "a"}')
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
    _, told = await process.communicate()
    assert (process.returncode, file.read_text()) == (2, "as it was")
    assert b"missing rules" in told


async def test_megabytes_pass_unchanged(relay: Relay):
    sent = bytes(range(256)) * 40_000
    reader, writer = await relay.connect()
    writer.write(sent)
    writer.write_eof()
    assert await reader.read() == sent + b"<end>"
    writer.close()


async def test_a_sender_has_to_wait_for_a_slow_receiver(relay: Relay):
    _, writer = await relay.connect()
    writer.transport.set_write_buffer_limits(high=0)

    async def send_a_lot() -> None:
        for _ in range(200):
            writer.write(bytes(1 << 20))
            await writer.drain()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send_a_lot(), 1)
    assert len(relay.echo.heard) < 50 << 20
    writer.transport.abort()


async def test_a_refusal_of_the_target_ends_the_connection_at_once(tmp_path: Path):
    nobody = reserve(["upstream"], {})
    nobody.release()
    async with relaying(tmp_path, upstream=nobody.ports["upstream"]) as relay:
        reader, writer = await relay.connect()
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()


async def test_dropping_is_silent_and_what_was_held_arrives_once_it_ends(relay: Relay):
    reader, writer = await relay.connect()
    writer.write(b"before")
    assert await reader.readexactly(6) == b"before"
    await relay.rule("dropping all traffic between a and b", drop=True)
    late_reader, late_writer = await relay.connect()
    writer.write(b"held")
    late_writer.write(b"late")
    await silent(reader)
    await silent(late_reader)
    assert relay.echo.heard == b"before"
    assert relay.echo.calls == 1
    await relay.rule("passing all traffic between a and b", drop=False)
    assert await asyncio.wait_for(reader.readexactly(4), 2) == b"held"
    late_writer.close()
    writer.close()


async def test_answers_are_dropped_too(relay: Relay):
    await relay.rule("delaying", delay_s=0.3)
    reader, writer = await relay.connect()
    writer.write(b"x")
    await relay.echo.called.wait()
    await relay.rule("dropping", drop=True, delay_s=0)
    await silent(reader)
    writer.close()


async def test_who_left_while_cut_off_is_never_heard_of(relay: Relay):
    await relay.rule("dropping", drop=True)
    for _ in range(3):
        _, writer = await relay.connect()
        writer.write(b"anyone there?")
        writer.close()
        await writer.wait_closed()
    await relay.forgets()
    stays, stays_writer = await relay.connect()
    stays_writer.write(b"me")
    await relay.rule("passing", drop=False)
    assert await asyncio.wait_for(stays.readexactly(2), 2) == b"me"
    assert (relay.echo.calls, relay.echo.heard) == (1, b"me")
    stays_writer.close()


async def test_a_delay_holds_each_way_and_keeps_the_order(relay: Relay):
    await relay.rule("delaying all traffic between a and b by 0.2 s each way", delay_s=0.2)
    reader, writer = await relay.connect()
    began = time.monotonic()
    for part in (b"one", b"two", b"three"):
        writer.write(part)
        await writer.drain()
    assert await reader.readexactly(11) == b"onetwothree"
    assert time.monotonic() - began >= 0.4
    writer.close()


async def test_lifting_a_delay_lets_what_is_held_pass_at_once(relay: Relay):
    await relay.rule("delaying", delay_s=60)
    reader, writer = await relay.connect()
    writer.write(b"soon")
    await writer.drain()
    await relay.rule("passing", delay_s=0)
    assert await asyncio.wait_for(reader.readexactly(4), 5) == b"soon"
    writer.close()


async def test_bad_rules_change_nothing_and_are_named_in_the_log(relay: Relay):
    await relay.rule("'drop' must be true or false, not 'yes'", drop="yes")
    reader, writer = await relay.connect()
    writer.write(b"still")
    assert await reader.readexactly(5) == b"still"
    writer.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"listen": "80"},
        {"upstream": 0},
        {"drop": 1},
        {"delay_s": -1},
        {"delay_s": True},
        {"dorp": True},
        {"listen": None},
        {"host": ""},
        {"upstream_host": 127},
    ],
)
def test_rules_that_do_not_fit_are_refused(changes: dict[str, object]):
    good = {"source": "a", "target": "b", "listen": 1, "upstream": 2}
    assert parse(json.dumps(good)) == Rules("a", "b", 1, 2, False, 0.0, "127.0.0.1", "127.0.0.1")
    with pytest.raises(ValueError, match=r"must be|unknown rules"):
        parse(json.dumps({**good, **changes}))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"source": "a"}'])
def test_what_are_no_rules_is_refused(text: str):
    with pytest.raises(ValueError, match=r"missing rules|JSON object|Expecting|property name"):
        parse(text)


async def test_a_link_without_a_file_says_so(tmp_path: Path):
    command = (sys.executable, "-m", "operatorlab.deploy.link", "none.json")
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
    _, told = await process.communicate()
    assert process.returncode == 2
    assert b"cannot use none.json" in told
