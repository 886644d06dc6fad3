"""`Guard`: the guard of one lab, as a process of its own."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from typing import Self

from operatorlab.errors import StartFailed
from operatorlab.sandbox.guard.lab import Lab

_START_S = 20.0
_STOP_S = 5.0
_WORDS = 2000


class Guard:
    """Starts and stops the guard of `lab`. It ends by itself when the process that started it is gone."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._process: asyncio.subprocess.Process | None = None

    def __repr__(self) -> str:
        return f"<Guard of {self.lab.run} on {self.lab.socket}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def pid(self) -> int | None:
        """The process it runs as, None if it does not."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Until it listens. Raises StartFailed."""
        pipe = asyncio.subprocess.PIPE
        with tempfile.TemporaryFile() as said:  # not a pipe: one that nobody reads could fill up and stop it
            self._process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "operatorlab.sandbox.guard"), stdin=pipe, stdout=pipe, stderr=said
            )
            try:
                if not await self._ready(process):
                    await self.stop()
                    said.seek(0)
                    words = said.read()[-_WORDS:].decode(errors="replace").strip()
                    raise StartFailed("the guard did not come up", cause=words)
            except BaseException:
                await self.stop()
                raise

    async def _ready(self, process: asyncio.subprocess.Process) -> bool:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_S):
                process.stdin.write(self.lab.model_dump_json().encode() + b"\n")
                return await process.stdout.readline() == b"ready\n"
        except TimeoutError:
            return False

    async def stop(self) -> None:
        """End it, and with it every connection through it. Twice is fine."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
