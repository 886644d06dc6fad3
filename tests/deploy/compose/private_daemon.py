"""A Docker daemon inside network, mount and process namespaces of a test's own, that may be stopped and killed."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import httpx

SOCKET = "/run/docker.sock"
_ANSWERS_WITHIN_S = 60


class PrivateDaemon:
    """Keeps images below `folder`, and everything else in a `/run` of its own. Its cgroups are below `cgroup`."""

    def __init__(self, folder: Path, cgroup: str) -> None:
        self.host = f"unix://{SOCKET}"
        self._folder = folder
        self._cgroup = cgroup
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, images: Path) -> None:
        """Start it, with what `docker save` put into `images`."""
        for command in (["mount", "-t", "tmpfs", "tmpfs", "/run"], ["ip", "link", "set", "lo", "up"]):
            subprocess.run(command, check=True)
        (self._folder / "daemon.json").write_text("{}")
        self.start()
        subprocess.run(["docker", "-H", self.host, "load", "-q", "-i", str(images)], check=True, capture_output=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = self._folder / "dockerd.log"
        words = [f"--config-file={self._folder}/daemon.json", f"--data-root={self._folder}/data"]
        words += [f"--host={self.host}", f"--cgroup-parent={self._cgroup}"]
        with log.open("ab") as to:
            self._process = subprocess.Popen(["dockerd", *words], stdin=subprocess.DEVNULL, stdout=to, stderr=to)
        until = time.monotonic() + _ANSWERS_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"dockerd does not answer; its log ends:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)

    def end(self, how: signal.Signals) -> None:
        """Stop it, or kill it, and wait until it has ended. What survives a kill belongs to its next start."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(60)

    def _answers(self) -> bool:
        with httpx.Client(transport=httpx.HTTPTransport(uds=SOCKET)) as client:
            try:
                return client.get("http://docker/_ping").is_success
            except httpx.TransportError:
                return False
