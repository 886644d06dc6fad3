"""One worker: runs the trials it is given, one after the other, on a bench of its own. `python -m eval.worker`.

    stdin    {"trial": …, "audit": "/…/audits/<trial>.db"}     one line a trial
    stdout   {"phase": "detect"}, …, {"evidence": …}           lines

It ends when its input ends, which is what happens when whoever started it dies, or on SIGTERM: the trial under way is
given up and the lab taken down.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from eval.bench import Bench
from eval.evidence import Trial
from eval.trial import run_trial
from operatorlab.subject import PROCESSES

_LONGEST_LINE = 1 << 24


async def serve(answers: BinaryIO) -> None:
    """Run what comes in on stdin until it ends."""
    reader = await _stdin()
    working = asyncio.current_task()
    assert working is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    bench: Bench | None = None
    async with contextlib.AsyncExitStack() as stack:
        line = await reader.readline()
        while line:
            asked = json.loads(line)
            trial = Trial.model_validate(asked["trial"])
            if bench is None:
                deployment = trial.scenario.deployment
                bench = Bench(trial.scenario.subject, deployment, spare=deployment == PROCESSES)
                await stack.enter_async_context(bench)
            following = asyncio.create_task(reader.readline())
            await _one(trial, bench, Path(asked["audit"]), answers, following)
            line = await following


async def _one(trial: Trial, bench: Bench, audit: Path, answers: BinaryIO, following: asyncio.Task[bytes]) -> None:
    """Run one trial; given up if the input ends meanwhile."""
    running = asyncio.create_task(run_trial(trial, bench, audit, tell=lambda phase: _say(answers, {"phase": phase})))
    await _until_either(running, following)
    if not running.done():
        running.cancel()
        await asyncio.wait([running])
        return
    _say(answers, {"evidence": running.result().model_dump(mode="json")})


async def _until_either(running: asyncio.Task[object], following: asyncio.Task[bytes]) -> None:
    try:
        await asyncio.wait({running, following}, return_when=asyncio.FIRST_COMPLETED)
        if following.done() and following.result():
            await asyncio.wait({running})  # the next trial came early, which is no reason to hurry
    except asyncio.CancelledError:
        running.cancel()
        following.cancel()
        await asyncio.wait({running, following})
        raise


def _say(answers: BinaryIO, what: object) -> None:
    answers.write(json.dumps(what).encode() + b"\n")
    answers.flush()


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return reader


def main() -> None:
    """Keep stdout for answers: whatever else prints goes to stderr."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        with contextlib.suppress(asyncio.CancelledError, BrokenPipeError):
            asyncio.run(serve(answers))


if __name__ == "__main__":
    main()
