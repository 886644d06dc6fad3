"""A shell in a container: commands run by `docker exec`, with the time-out inside, where it ends the whole group.

Docker passes no signal on to what it executes and has no time-out of its own. So each command runs below
`timeout` in the container, and carries a mark in its environment by which it and all it started can be ended
when this side gives up on it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx
from ulid import ULID

from operatorlab.sandbox.base import ExecResult, Mode, SandboxGone
from operatorlab.sandbox.capture import HeadTail
from operatorlab.sandbox.local import KEPT_BYTES

_MARK = "OPERATORLAB_COMMAND"
_KILL_AFTER_S = 1
_ANSWER_WITHIN_S = 20.0
_LATE_S = 5.0
"""How much longer than the time-out inside this side waits, before it takes matters into its own hands."""
_KILLED = 137
_ENDED_BY_TIMEOUT = (124, _KILLED)
_ENDING_S = 0.5
_LOOK_EVERY_S = 0.05
_HEADER = 8
_STDOUT, _STDERR = 1, 2
_LONGEST = 120_000
"""Bytes one argument of a program may have on Linux, with room for what else there is."""
_END_MARKED = """
import os, sys
def marked(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return sys.argv[1].encode() in environ.read().split(b"\\0")
    except OSError:
        return False
for _ in range(20):
    found = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid() and marked(name)]
    for pid in found:
        try:
            os.kill(pid, 9)
        except OSError:
            pass
    if not found:
        break
"""


class DockerSandbox:
    """Runs commands in the running container `container` of the daemon at `socket`, as its user.

    `kept_bytes` is how much of each stream of a command is kept; `mode` is what the guard behind the socket, and the
    container's network, let through.
    """

    isolated = True

    def __init__(
        self, socket: Path, container: str, *, kept_bytes: int = KEPT_BYTES, mode: Mode = Mode.OPERATE
    ) -> None:
        self.mode = mode
        self._container = container
        self._kept_bytes = kept_bytes
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        self._docker = httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=_ANSWER_WITHIN_S)

    def __repr__(self) -> str:
        return f"<DockerSandbox {self._container[:12]}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the daemon. What a command left in the background belongs to the lab."""
        await self._docker.aclose()

    async def exec(self, command: str, timeout_s: float) -> ExecResult:
        """Run `command` by bash for at most `timeout_s` seconds; see `Sandbox.exec`."""
        if not _can_be_given(command):
            return ExecResult(126, "", "bash: the command is too long, has a NUL, or is no text\n", 0.0)
        mark = str(ULID())
        seconds = f"{max(timeout_s, 0.001):.3f}"
        argv = ["timeout", "-k", str(_KILL_AFTER_S), seconds, "bash", "-c", command]
        out, err = HeadTail(self._kept_bytes), HeadTail(self._kept_bytes)
        started = time.monotonic()
        timed_out = ended = True  # until it is known to have ended by itself
        code = None
        try:
            async with asyncio.timeout(timeout_s + _KILL_AFTER_S + _LATE_S):
                execution = await self._begin(argv, {_MARK: mark})
                await self._follow(execution, out, err)
                code = await self._exit_code(execution)
            timed_out = code in _ENDED_BY_TIMEOUT and time.monotonic() - started >= timeout_s
        except TimeoutError:  # something holds the output open, or the daemon is stuck
            pass
        except httpx.TransportError as trouble:
            raise SandboxGone(f"the Docker daemon went away: {str(trouble) or type(trouble).__name__}") from trouble
        finally:
            if timed_out:  # `timeout` reaches neither what left its group nor what ignores being asked
                ended = await asyncio.shield(self._end(mark))
        if not ended:
            raise SandboxGone("the container that commands run in does not answer any more")
        took = time.monotonic() - started
        return ExecResult(
            exit_code=None if timed_out else code,
            stdout=out.text(),
            stderr=err.text(),
            duration_s=took,
            timed_out=timed_out,
            dropped_bytes=out.dropped + err.dropped,
        )

    async def _begin(self, argv: list[str], environment: Mapping[str, str]) -> str:
        body = {
            "AttachStdout": True,
            "AttachStderr": True,
            "Cmd": argv,
            "Env": [f"{name}={value}" for name, value in environment.items()],
        }
        answer = await self._docker.post(f"/containers/{self._container}/exec", json=body)
        return str(_answer(answer)["Id"])

    async def _follow(self, execution: str, out: HeadTail, err: HeadTail) -> None:
        """Read both streams until they end. Docker interleaves them: a header tells whose the next bytes are."""
        streams = {_STDOUT: out, _STDERR: err}
        async with self._started(execution) as answer:
            held = bytearray()
            async for data in answer.aiter_raw():
                held += data
                for stream, piece in frames(held):
                    if stream in streams:
                        streams[stream].add(piece)

    @asynccontextmanager
    async def _started(self, execution: str) -> AsyncIterator[httpx.Response]:
        patient = httpx.Timeout(_ANSWER_WITHIN_S, read=math.inf)
        body = {"Detach": False, "Tty": False}
        async with self._docker.stream("POST", f"/exec/{execution}/start", json=body, timeout=patient) as answer:
            if answer.is_error:
                await answer.aread()
                _answer(answer)
            yield answer

    async def _exit_code(self, execution: str) -> int:
        """The exit code of a command, once it has ended. SandboxGone if the container ended under it."""
        told: dict[str, Any] = {"Running": True}
        while told["Running"]:  # it may have closed its output, and go on
            told = _answer(await self._docker.get(f"/exec/{execution}/json"))
            await asyncio.sleep(_LOOK_EVERY_S if told["Running"] else 0)
        code = told.get("ExitCode")
        if code is None or (code == _KILLED and await self._ended()):
            raise SandboxGone("the container that commands run in has ended")
        return int(code)

    async def _ended(self) -> bool:
        """Whether the container ends now: what runs in it is killed a moment before it is said to be gone."""
        try:
            async with asyncio.timeout(_ENDING_S):
                _answer(await self._docker.post(f"/containers/{self._container}/wait"))
        except TimeoutError:
            return False
        return True

    async def _end(self, mark: str) -> bool:
        """End whatever carries the mark; False where the container or the daemon is gone, or frozen."""
        try:
            async with asyncio.timeout(_LATE_S):
                execution = await self._begin(["python3", "-I", "-c", _END_MARKED, f"{_MARK}={mark}"], {})
                await self._follow(execution, HeadTail(1024), HeadTail(1024))
        except (SandboxGone, TimeoutError, httpx.TransportError):
            return False
        return True


def frames(held: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take the whole frames out of `held`: of which stream each is, and what it brings."""
    while len(held) >= _HEADER and len(held) >= _HEADER + (size := int.from_bytes(held[4:_HEADER], "big")):
        stream, piece = held[0], bytes(held[_HEADER : _HEADER + size])
        del held[: _HEADER + size]
        yield stream, piece


def _can_be_given(command: str) -> bool:
    """Whether a program can have `command` as one argument."""
    try:
        return "\0" not in command and len(command.encode()) <= _LONGEST
    except UnicodeEncodeError:
        return False


def _answer(response: httpx.Response) -> dict[str, Any]:
    """What the daemon answered; SandboxGone if it refused: the container is not there, or does not run."""
    if response.is_error:
        raise SandboxGone(f"no command can be run: {response.text.strip()[:300]}")
    found: dict[str, Any] = response.json()
    return found
