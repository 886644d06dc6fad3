"""Run one node: `python -m subjects.ratelimiter.service etc/node-1.json`, in the folder the paths start from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import uvicorn

from subjects.ratelimiter.service.api import create_app
from subjects.ratelimiter.service.config import BadConfiguration, read_node
from subjects.ratelimiter.service.logs import log, set_up
from subjects.ratelimiter.service.node import Node


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM. 2 on a configuration that cannot be used."""
    set_up()
    if len(arguments) != 1:
        log.error("usage: python -m subjects.ratelimiter.service CONFIGURATION.json")
        return 2
    try:
        config, declared = read_node(Path(arguments[0]), os.environ)
    except BadConfiguration as trouble:
        log.error("bad configuration: %s", trouble)
        return 2
    server = uvicorn.Config(
        create_app(Node(config, declared)),
        host=config.host,
        port=config.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    uvicorn.Server(server).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
