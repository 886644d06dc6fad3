"""The load on a lab: one process that plays the clients, and what they saw, kept in the audit.

The process appends a line per short span to a record file (see `Subject.workload`); here those lines
are followed while they come and stored, so that a chart of the clients' success needs the audit alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

from operatorlab.audit import AuditStore, ClientSample
from operatorlab.errors import StartFailed

FOLLOW_S = 0.25  # how often the record is read; the panels draw four times a second


_SAMPLE = TypeAdapter(ClientSample)


class Clients:
    """Runs the load of one lab and follows its record."""

    def __init__(self, argv: tuple[str, ...], record: Path, environment: Mapping[str, str]) -> None:
        self.argv = argv
        self.record = record
        self.environment = dict(environment)
        self.latest: ClientSample | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._read_to = 0
        self._partial = b""

    def __repr__(self) -> str:
        return f"<Clients {'stopped' if self.pid is None else 'running'}>"

    async def start(self) -> None:
        """Start the load; its own messages go beside the record."""
        self.record.touch()
        with self.record.with_suffix(".log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.record.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        """The load's process; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def follow(self, store: AuditStore, run: str) -> None:
        """Store what the clients see until cancelled; StartFailed if the load ends by itself."""
        assert self._process is not None, "start() comes first"
        try:
            while self._process.returncode is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FOLLOW_S):
                        await self._process.wait()
                self._store_new(store, run)
        finally:
            self._store_new(store, run)
        tail = self.record.with_suffix(".log").read_text(errors="replace")[-2000:]
        raise StartFailed(f"the client load ended by itself with code {self._process.returncode}:\n{tail}")

    async def stop(self) -> None:
        """End the load: ask, then make it."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(2):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _store_new(self, store: AuditStore, run: str) -> None:
        with self.record.open("rb") as file:
            file.seek(self._read_to)
            text = self._partial + file.read()
            self._read_to = file.tell()
        *whole, self._partial = text.split(b"\n")
        samples = [_SAMPLE.validate_json(line) for line in whole if line.strip()]
        if samples:
            store.add_client_samples(run, samples)
            self.latest = samples[-1]
