"""The Docker daemon, asked through docker-py in threads, with errors that say what to do."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import docker
import httpx
import requests
from docker.errors import APIError, DockerException, NotFound

from operatorlab.errors import DockerTrouble

T = TypeVar("T")
_UNIX = "unix://"
_WITHIN_S = 60
_PING_WITHIN_S = 1.0


def find_daemon() -> str:
    """Where the daemon listens: `$DOCKER_HOST`, else a usual socket that is there; DockerTrouble if none is."""
    told = os.environ.get("DOCKER_HOST", "")
    if told and not told.startswith(_UNIX):
        raise DockerTrouble(
            f"DOCKER_HOST is {told}; a lab needs a daemon behind a Unix socket of this machine",
            next_step="unset DOCKER_HOST, or set it to unix:///path/to/docker.sock",
        )
    usual = [Path("/var/run/docker.sock"), Path.home() / ".docker/run/docker.sock"]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        usual.insert(0, Path(runtime) / "docker.sock")
    there = next((path for path in usual if path.is_socket()), None)
    if not told and there is None:
        raise DockerTrouble(
            f"found no Docker daemon: none listens at {', '.join(map(str, usual))}",
            cause="Docker is not installed, or its daemon does not run",
            next_step="start Docker, or set DOCKER_HOST; `operatorlab doctor` says what this machine offers",
        )
    return told or f"{_UNIX}{there}"


def socket_of(host: str) -> Path:
    """The path of a daemon's Unix socket."""
    return Path(host.removeprefix(_UNIX))


class Engine:
    """Calls to the daemon at `host`. `last_contact` is when it last answered, seconds since the epoch."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.last_contact = time.time()
        self._client: docker.DockerClient | None = None

    def __repr__(self) -> str:
        return f"<Engine {self.host}>"

    async def __call__(self, ask: Callable[[docker.DockerClient], T]) -> T:
        """What `ask` returns of the daemon. DockerTrouble if it is away or refuses; NotFound passes through."""
        return await asyncio.to_thread(self.now, ask)

    def now(self, ask: Callable[[docker.DockerClient], T]) -> T:
        """The same, in this thread."""
        try:
            self._knock()
            answer = ask(self._connected())
        except NotFound:
            self.last_contact = time.time()
            raise
        except APIError as refusal:
            self.last_contact = time.time()
            raise DockerTrouble(f"the Docker daemon refused: {refusal.explanation or refusal}") from refusal
        except (DockerException, requests.RequestException, OSError) as trouble:
            raise self._away(trouble) from trouble
        self.last_contact = time.time()
        return answer

    async def post(self, path: str, body: Mapping[str, object]) -> bytes:
        """A call that docker-py has no words for, or leaves connections open after; the body of the answer."""
        transport = httpx.AsyncHTTPTransport(uds=str(socket_of(self.host)))
        try:
            async with httpx.AsyncClient(transport=transport, timeout=_WITHIN_S) as client:
                answer = await client.post(f"http://docker{path}", json=dict(body))
        except httpx.TransportError as trouble:
            raise self._away(trouble) from trouble
        if answer.is_error:
            raise DockerTrouble(f"the Docker daemon refused: {answer.text[:500]}")
        self.last_contact = time.time()
        return answer.content

    async def ping(self) -> str:
        """Why the daemon cannot be asked now; empty if it answers within a second."""
        try:
            async with asyncio.timeout(_PING_WITHIN_S):
                reader, writer = await asyncio.open_unix_connection(socket_of(self.host))
                try:
                    writer.write(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
                    said = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as trouble:
            return self._away(trouble).what
        if b" 200 " not in said:
            return f"the Docker daemon at {self.host} is not ready: {said[:100]!r}"
        self.last_contact = time.time()
        return ""

    def _knock(self) -> None:
        """OSError if nobody listens: docker-py would find out as well, but leaves a socket open each time."""
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(_WITHIN_S)
            knocking.connect(str(socket_of(self.host)))

    def _connected(self) -> docker.DockerClient:
        if self._client is None:
            self._client = docker.DockerClient(base_url=self.host, timeout=_WITHIN_S)
            weakref.finalize(self, self._client.close)
        return self._client

    def _away(self, trouble: Exception) -> DockerTrouble:
        permission = "Permission denied" in str(trouble)
        return DockerTrouble(
            f"the Docker daemon at {self.host} does not answer: {str(trouble)[:200] or type(trouble).__name__}",
            cause="you may not use its socket" if permission else "it is stopped, or starting",
            next_step="add yourself to the group docker" if permission else "start Docker, or set DOCKER_HOST",
        )
