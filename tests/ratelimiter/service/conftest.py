"""A real Redis and real nodes, each a process, for the tests of the service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from operatorlab.deploy.programs import find_program
from subjects.ratelimiter.limits import DECLARED, DEFAULT, WINDOW_S


class Cluster:
    """Redis and nodes on free ports below one folder; whatever is started here ends with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.redis_port = free_port()
        self.ports: dict[str, int] = {}
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.http = httpx.AsyncClient(timeout=5, trust_env=False)
        self.write_limits()

    def write_limits(self, **changed: object) -> None:
        limits = {"window_s": WINDOW_S, "default": DEFAULT, "limits": dict(DECLARED)} | changed
        (self.root / "limits.json").write_text(json.dumps(limits))

    def configure(self, name: str, **changed: object) -> None:
        port = self.ports.setdefault(name, free_port())
        told = {"name": name, "port": port, "redis_port": self.redis_port, "limits_file": "limits.json"} | changed
        (self.root / f"{name}.json").write_text(json.dumps(told))

    async def spawn(self, name: str, *argv: str, **variables: str) -> asyncio.subprocess.Process:
        with (self.root / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=self.root,
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.running[name] = process
        return process

    async def start_redis(self) -> None:
        options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        await self.spawn("redis", str(find_program("redis-server")), "--port", str(self.redis_port), *options)
        async with self.redis() as redis:
            await _until(redis.ping)

    async def start_node(
        self, name: str = "node-1", *, ready: bool = True, variables: Mapping[str, str] | None = None, **changed: object
    ) -> str:
        self.configure(name, **changed)
        argv = (sys.executable, "-P", "-m", "subjects.ratelimiter.service", f"{name}.json")
        await self.spawn(name, *argv, **(variables or {}))
        url = f"http://127.0.0.1:{self.ports[name]}"

        async def answers() -> None:
            (await self.http.get(f"{url}/{'ready' if ready else 'health'}")).raise_for_status()

        await _until(answers)
        return url

    @contextlib.asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        async with Redis(port=self.redis_port, decode_responses=True, socket_timeout=2) as redis:
            yield redis

    def log(self, name: str = "node-1") -> str:
        return (self.root / f"{name}.log").read_text()

    async def end(self, name: str, number: int = signal.SIGKILL) -> int:
        process = self.running.pop(name)
        process.send_signal(number)
        return await asyncio.wait_for(process.wait(), 10)

    async def close(self) -> None:
        await self.http.aclose()
        for name, process in list(self.running.items()):
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.wait()
            self.running.pop(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _until(deed: Callable[[], Awaitable[object]], deadline_s: float = 20) -> None:
    """Repeat what fails until it does not."""
    async with asyncio.timeout(deadline_s):
        while True:
            try:
                await deed()
            except Exception:  # noqa: BLE001 — whatever it is, the deadline ends it
                await asyncio.sleep(0.02)
            else:
                return


@pytest.fixture
def until() -> Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]:
    return _until


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Nothing runs yet."""
    cluster = Cluster(tmp_path)
    try:
        yield cluster
    finally:
        await cluster.close()


@pytest.fixture
async def cluster(bare: Cluster) -> Cluster:
    """Redis runs."""
    await bare.start_redis()
    return bare
