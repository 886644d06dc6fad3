"""The example's two servers: `store` counts, `front` asks the store through a link. Plain HTTP, no library."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any


async def ask(port: int, path: str, timeout_s: float = 0.5) -> tuple[int, str]:
    """GET `path` on the loopback interface: status and body. OSError or TimeoutError if nobody answers."""
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        finally:
            writer.close()
    if not head:
        raise ConnectionResetError("closed without an answer")
    return int(head.split()[1]), body


def keep(folder: str, count: int) -> None:
    Path(folder, "count").write_text(str(count))


async def main(settings: dict[str, Any]) -> None:
    count = 0

    async def answer(path: str) -> tuple[int, str]:
        nonlocal count
        if path == "/live":
            return 200, settings["greeting"]
        if "store" not in settings:
            count += 1
            keep(settings["data"], count)
            return 200, str(count)
        try:
            return await ask(settings["store"], "/count")
        except (OSError, TimeoutError) as trouble:
            return 503, repr(trouble)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                status, body = await answer(line.decode().split()[1])
                writer.write(f"HTTP/1.0 {status} X\r\n\r\n{body}".encode())
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", settings["port"])
    sys.stderr.write(f"serving {settings['greeting']}\n")
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
