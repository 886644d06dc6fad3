"""A real Prometheus and a real Alertmanager on the loopback interface, and a receiver that says when alerts come."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROMETHEUS, ALERTMANAGER = "prometheus", "prometheus-alertmanager"


@dataclass(frozen=True)
class Tuning:
    """How patient both are."""

    name: str
    scrape_s: int
    scrape_timeout_s: int
    wait_for_s: int
    group_wait_s: int
    group_interval_s: int


STOCK = Tuning("stock", scrape_s=15, scrape_timeout_s=10, wait_for_s=60, group_wait_s=30, group_interval_s=300)
"""Scraped and evaluated each 15 s and grouped as the files Debian ships say; an alert waits a minute, as is usual."""
TUNED = Tuning("tuned", scrape_s=1, scrape_timeout_s=1, wait_for_s=0, group_wait_s=0, group_interval_s=1)
"""As quick as whole seconds allow."""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in (PROMETHEUS, ALERTMANAGER) if shutil.which(name) is None]


@dataclass
class Received:
    """The alerts that fire, by node, and when the news of each came (monotonic seconds)."""

    firing: dict[str, float] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, alerts: list[dict]) -> None:
        with self.changed:
            for alert in alerts:
                node = alert["labels"]["node"]
                if alert["status"] == "firing":
                    self.firing.setdefault(node, time.monotonic())
                else:
                    self.firing.pop(node, None)
            self.changed.notify_all()

    async def fired(self, node: str, within_s: float) -> float | None:
        """When the alert for `node` came; None if it did not in time."""
        await asyncio.to_thread(self._wait, lambda: node in self.firing, within_s)
        return self.firing.get(node)

    async def quiet(self, within_s: float) -> None:
        """Wait until nothing fires."""
        assert await asyncio.to_thread(self._wait, lambda: not self.firing, within_s), f"still firing: {self.firing}"

    def _wait(self, true, within_s: float) -> bool:
        with self.changed:
            return self.changed.wait_for(true, within_s)


@contextlib.contextmanager
def alerting(tuning: Tuning, nodes: dict[str, tuple[str, int]], folder: Path):
    """Watch `nodes` until the context ends; yields what is received."""
    folder.mkdir(parents=True)
    received = Received()
    with contextlib.ExitStack() as stack:
        webhook = stack.enter_context(_receiver(received))
        manager, prometheus = free_port(), free_port()
        (folder / "alertmanager.yml").write_text(json.dumps(_manager(tuning, webhook)))
        (folder / "rules.yml").write_text(json.dumps(_rules(tuning)))
        (folder / "prometheus.yml").write_text(json.dumps(_prometheus(tuning, nodes, manager)))
        stack.enter_context(_running(
            ALERTMANAGER, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alertmanager",
            f"--web.listen-address=127.0.0.1:{manager}", "--cluster.listen-address=", folder=folder,
        ))  # fmt: skip
        stack.enter_context(_running(
            PROMETHEUS, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{prometheus}", folder=folder,
        ))  # fmt: skip
        yield received


def _prometheus(tuning: Tuning, nodes: dict[str, tuple[str, int]], manager: int) -> dict:
    """JSON is YAML."""
    targets = [{"targets": [f"{host}:{port}"], "labels": {"node": name}} for name, (host, port) in nodes.items()]
    every = f"{tuning.scrape_s}s"
    return {
        "global": {
            "scrape_interval": every,
            "scrape_timeout": f"{tuning.scrape_timeout_s}s",
            "evaluation_interval": every,
        },
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "nodes", "honor_labels": True, "static_configs": targets}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{manager}"]}]}]},
    }


def _rules(tuning: Tuning) -> dict:
    wait = f"{tuning.wait_for_s}s"
    rules = [
        {"alert": "NodeDown", "expr": "up == 0", "for": wait},
        {"alert": "RedisDisconnected", "expr": "ratelimiter_ready == 0", "for": wait},
    ]
    return {"groups": [{"name": "ratelimiter", "rules": rules}]}


def _manager(tuning: Tuning, webhook: str) -> dict:
    route = {
        "receiver": "benchmark",
        "group_by": ["alertname", "node"],
        "group_wait": f"{tuning.group_wait_s}s",
        "group_interval": f"{tuning.group_interval_s}s",
        "repeat_interval": "4h",
    }
    hook = {"url": webhook, "send_resolved": True}
    return {"route": route, "receivers": [{"name": "benchmark", "webhook_configs": [hook]}]}


@contextlib.contextmanager
def _receiver(received: Received):
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            received.take(json.loads(self.rfile.read(int(self.headers["content-length"])))["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def _running(program: str, *options: str, folder: Path):
    with (folder / f"{program}.log").open("wb") as log:
        child = subprocess.Popen([program, *options], stdout=log, stderr=log, cwd=folder)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(30)


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
