"""A shell on this very machine, in a lab's own folder. Not a boundary: only what acts harmlessly may use it.

Each command is a bash in a session of its own, so that it can be ended with all its children. Its pipes
are made here and not by asyncio, whose `wait` may hang on a pipe that a background child keeps open.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from operatorlab.sandbox.base import ExecResult, Mode, SandboxGone
from operatorlab.sandbox.capture import PipeReader, read_pipe

KEPT_BYTES = 256 * 1024
_TERM_GRACE_S = 1.0
_DRAIN_S = 0.25
_ORPHAN_GRACE_S = 3.0


class LocalSandbox:
    """Runs commands below `root` with nothing but `environment`.

    `kept_bytes` is how much of each stream of a command is kept.
    """

    isolated = False
    mode = Mode.OPERATE

    def __init__(self, root: Path, environment: Mapping[str, str], *, kept_bytes: int = KEPT_BYTES) -> None:
        self.root = root
        self._environment = {k: v for k, v in environment.items() if not k.startswith("ANTHROPIC_")}
        self._kept_bytes = kept_bytes

    def __repr__(self) -> str:
        return f"<LocalSandbox {self.root}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def exec(self, command: str, timeout_s: float) -> ExecResult:
        """Run `command` by bash for at most `timeout_s` seconds; see `Sandbox.exec`."""
        started = time.monotonic()
        try:
            running = await self._start(command, timeout_s)
        except ValueError as refused:
            return ExecResult(126, "", f"bash: {refused}\n", 0.0)
        except OSError as trouble:
            if trouble.errno == errno.E2BIG:
                return ExecResult(126, "", "bash: the command is too long for this system\n", 0.0)
            raise SandboxGone(f"no shell can be started in {self.root}: {trouble}") from trouble
        try:
            timed_out = await running.wait(timeout_s)
        finally:
            running.close()
        return running.result(time.monotonic() - started, timed_out=timed_out)

    async def close(self) -> None:
        """Nothing is held between commands. What a command left in the background belongs to the lab."""

    async def _start(self, command: str, timeout_s: float) -> _Running:
        argv = self._argv(command, timeout_s)
        readers: list[PipeReader] = []
        write_ends: list[int] = []
        try:
            for _ in range(2):
                read_end, write_end = os.pipe()
                write_ends.append(write_end)
                readers.append(await read_pipe(read_end, self._kept_bytes))
            process = await self._spawn(argv, *write_ends)
        except BaseException:
            for reader in readers:
                reader.close()
            raise
        finally:
            for write_end in write_ends:
                os.close(write_end)
        return _Running(process, self._signal, readers[0], readers[1])

    async def _spawn(self, argv: Sequence[str], stdout: int, stderr: int) -> asyncio.subprocess.Process:
        """Start `argv`. Cancelled half-way, asyncio would end the first process only; this ends the group."""
        spawning = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=self.root,
                env=self._environment,
                start_new_session=True,
            )
        )
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:
            process = await spawning
            self._signal(process.pid, signal.SIGKILL)
            await process.wait()
            raise

    def _argv(self, command: str, timeout_s: float) -> Sequence[str]:
        """Bash, below coreutils' `timeout` where there is one: it ends the command if this process was killed."""
        path = self._environment.get("PATH", os.defpath)
        bash, timeout = shutil.which("bash", path=path), shutil.which("timeout", path=path)
        if not self.root.is_dir() or bash is None:
            raise SandboxGone(f"{self.root} is gone" if bash else "there is no bash on the sandbox's PATH")
        return shell(bash, timeout, command, timeout_s)

    def _signal(self, leader: int, number: int) -> bool:
        """Signal what the command of process `leader` consists of (0 only asks); False if nothing is left of it."""
        return signal_group(leader, number)


def shell(bash: str, timeout: str | None, command: str, timeout_s: float) -> tuple[str, ...]:
    """The command line that runs `command`."""
    if timeout is None:
        return (bash, "-c", command)
    return (timeout, "-s", "KILL", str(timeout_s + _ORPHAN_GRACE_S), bash, "-c", command)


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group (0 only asks); False if nobody is in it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


class _Running:
    """One command on its way."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        signal_: Callable[[int, int], bool],
        stdout: PipeReader,
        stderr: PipeReader,
    ) -> None:
        self._process = process
        self._send = signal_
        self._stdout, self._stderr = stdout, stderr

    async def wait(self, timeout_s: float) -> bool:
        """Until it ended and its output was read; True if it had to be ended. Whatever happens, it ends."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        except TimeoutError:
            await self._end()
            await self._drain()
            return True
        finally:
            if self._process.returncode is None:  # cancelled: there is no time to ask kindly
                self._signal(signal.SIGKILL)
                await self._process.wait()
        await self._drain()
        return False

    async def _end(self) -> None:
        """Ask the whole group to end, and make it."""
        try:
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + _TERM_GRACE_S
            while self._signal(0) and time.monotonic() < deadline:  # noqa: ASYNC110  an emptied group signals no event
                await asyncio.sleep(0.02)
        finally:
            self._signal(signal.SIGKILL)
        await self._process.wait()

    async def _drain(self) -> None:
        """Until both pipes are at their end, or a moment later if a background child keeps one open."""
        await asyncio.wait([self._stdout.ended, self._stderr.ended], timeout=_DRAIN_S)

    def _signal(self, number: int) -> bool:
        return self._send(self._process.pid, number)

    def close(self) -> None:
        self._stdout.close()
        self._stderr.close()

    def result(self, duration_s: float, *, timed_out: bool) -> ExecResult:
        code = self._process.returncode
        assert code is not None
        return ExecResult(
            exit_code=None if timed_out else code if code >= 0 else 128 - code,
            stdout=self._stdout.kept.text(),
            stderr=self._stderr.kept.text(),
            duration_s=duration_s,
            timed_out=timed_out,
            dropped_bytes=self._stdout.kept.dropped + self._stderr.kept.dropped,
            left_running=not (self._stdout.ended.done() and self._stderr.ended.done()),
        )
