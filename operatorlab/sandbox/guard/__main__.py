"""`python -m operatorlab.sandbox.guard`: one line of JSON on stdin says whose guard it is; it ends when stdin does."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from operatorlab.sandbox.guard.lab import Lab
from operatorlab.sandbox.guard.proxy import Proxy
from operatorlab.sandbox.guard.record import Record
from operatorlab.sandbox.guard.streams import BUFFERED


async def guard(lab: Lab) -> None:
    """Listen until stdin ends or SIGTERM comes."""
    done, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    loop.add_signal_handler(signal.SIGINT, done.set)
    loop.add_reader(0, lambda: None if os.read(0, 4096) else done.set())
    tasks: set[asyncio.Task[None]] = set()
    async with Record(lab) as record:
        proxy = Proxy(lab, record)

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = loop.create_task(proxy.serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        os.chdir(
            lab.socket.parent
        )  # the address of a Unix socket may have no more than a hundred bytes; its folder's may
        server = await asyncio.start_unix_server(connected, lab.socket.name, limit=BUFFERED)
        try:
            lab.socket.chmod(0o666)  # who may reach it is said by the folder it is in
            print("ready", flush=True)  # noqa: T201  the harness waits for it
            await done.wait()
        finally:
            server.close()
            lab.socket.unlink(missing_ok=True)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(guard(Lab.model_validate_json(sys.stdin.buffer.readline())))
