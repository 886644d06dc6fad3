"""A Docker daemon of a test's own, beside the machine's, that may be stopped and killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from operatorlab.deploy.compose.engine import find_daemon
from operatorlab.deploy.compose.stack import AGENT_IMAGE, RELAY_IMAGE, read_stack
from subjects.ratelimiter.subject import RateLimiter

POOL = "10.242.77.0/24"
_LET_PASS = ("FORWARD", "-s", POOL, "-d", POOL, "-j", "ACCEPT")


class PrivateDaemon:
    """Below `folder`: its images, its containers, its socket. Its default bridge stays away; labs bring their own.

    It leaves the machine's filter alone. The machine's own daemon drops what passes between strange bridges, so
    while this one is open the addresses of `POOL`, which are its labs', may speak to each other.
    """

    def __init__(self, folder: Path) -> None:
        if os.geteuid() != 0 or shutil.which("dockerd") is None:
            pytest.skip("a daemon of one's own needs root and dockerd")
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Start it, with the images of a lab."""
        subprocess.run(["iptables", "-w", "-I", *_LET_PASS], check=True)
        self.start()
        self._load()

    def close(self) -> None:
        """End it and everything of it."""
        self.end()
        subprocess.run(["iptables", "-w", "-D", *_LET_PASS], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {"data-root": "data", "exec-root": "exec", "pidfile": "docker.pid"}
        words = [f"--{name}={self.folder / path}" for name, path in options.items()]
        words += [f"--host={self.host}", "--bridge=none", "--iptables=false", "--ip-masq=false"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["dockerd", *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    def _answers(self) -> bool:
        with httpx.Client(transport=httpx.HTTPTransport(uds=f"{self.folder}/docker.sock")) as client:
            try:
                return client.get("http://docker/_ping").is_success
            except httpx.TransportError:
                return False

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, or kill it, and wait until it has ended. What survives a kill belongs to its next start."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def _load(self) -> None:
        """Have the images of a lab, from the machine's own daemon."""
        images = sorted({*read_stack(RateLimiter()).images, RELAY_IMAGE, AGENT_IMAGE})
        with subprocess.Popen(["docker", "-H", find_daemon(), "save", *images], stdout=subprocess.PIPE) as saving:
            subprocess.run(
                ["docker", "-H", self.host, "load", "-q"], stdin=saving.stdout, check=True, capture_output=True
            )
