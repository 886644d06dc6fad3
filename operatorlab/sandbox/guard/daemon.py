"""The guard's own way to the Docker daemon: one request a connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import h11

from operatorlab.sandbox.guard.http import request_bytes
from operatorlab.sandbox.guard.streams import BUFFERED

_ANSWER_LIMIT = 16 * 1024 * 1024
_TIMEOUT_S = 30.0


class DaemonAway(Exception):
    """The Docker daemon does not answer, or not in HTTP."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """An answer that began: `head` is its first lines as bytes, the rest comes from `reader`."""

    status: int
    head: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Daemon:
    """Speaks to the daemon behind the Unix socket `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None

    async def open(self, method: str, target: str, body: object = None, *, upgrade: bool = False) -> Upstream:
        """Ask, and read the head of the answer. Raises DaemonAway."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._path), limit=BUFFERED)
        except OSError as away:
            raise DaemonAway(f"the Docker daemon does not answer: {away.strerror}") from away
        try:
            writer.write(request_bytes(method, target, body, upgrade=upgrade))
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            return Upstream(int(head.split(b" ", 2)[1]), head, reader, writer)
        except (OSError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as away:
            writer.close()
            raise DaemonAway("the Docker daemon broke off") from away
        except BaseException:
            writer.close()
            raise

    async def ask(self, target: str) -> tuple[int, Any]:
        """The status of a GET and its answer as JSON data (None if it is not JSON). Raises DaemonAway."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await self.finish(await self.open("GET", target))
        except TimeoutError as away:
            raise DaemonAway("the Docker daemon does not answer in time") from away

    async def finish(self, upstream: Upstream) -> tuple[int, Any]:
        """The status of an answer that began, and the whole of it as JSON data (None if it is not JSON)."""
        try:
            return upstream.status, json.loads(await _body(upstream))
        except ValueError:
            return upstream.status, None
        finally:
            upstream.writer.close()

    async def get(self, target: str) -> Any:
        """The JSON answer of a GET that must succeed. Raises DaemonAway."""
        status, data = await self.ask(target)
        if status != 200:
            raise DaemonAway(f"the Docker daemon answers {status}")
        return data

    async def version(self) -> tuple[int, int]:
        """The newest version of the API it speaks. Raises DaemonAway."""
        if self._version is None:
            major, minor = (await self.get("/version"))["ApiVersion"].split(".")
            self._version = (int(major), int(minor))
        return self._version

    async def containers(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """All containers with these labels, running or not. Raises DaemonAway."""
        return list(await self.get("/containers/json?" + urlencode({"all": 1, "filters": _filter(labels)})))

    async def networks(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """All networks with these labels. Raises DaemonAway."""
        return list(await self.get("/networks?" + urlencode({"filters": _filter(labels)})))


def _filter(labels: Mapping[str, str]) -> str:
    return json.dumps({"label": [f"{name}={value}" for name, value in labels.items()]})


async def _body(upstream: Upstream) -> bytes:
    """The whole body of an answer, whichever way it is framed."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "docker"), ("Connection", "close")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(upstream.head)
    body = bytearray()
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await upstream.reader.read(64 * 1024))
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return bytes(body)
            if len(body) > _ANSWER_LIMIT:
                raise DaemonAway("the Docker daemon's answer is too large")
    except (OSError, h11.RemoteProtocolError) as broken:
        raise DaemonAway("the Docker daemon broke off") from broken
