"""What the guard costs: the median call with and without it, a stream of 1 GB through it. Prints; asserts no time."""

import http.client
import json
import os
import socket
import statistics
import time
from pathlib import Path

import psutil
import pytest

from operatorlab.audit import AuditStore
from operatorlab.sandbox.guard import Guard, capture
from operatorlab.sandbox.guard import Lab as GuardedLab

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]
CALLS, GIGABYTE = 200, 1_000_000_000


@pytest.fixture
async def guard(tiny_lab, tmp_path):
    lab = GuardedLab(
        project=tiny_lab.project, run=tiny_lab.project, socket=tmp_path / "docker.sock", audit=tmp_path / "audit.db",
        templates=tmp_path / "templates.json",
    )  # fmt: skip
    with AuditStore(lab.audit) as audit:
        audit.begin_run(lab.run, "tiny", "compose", str(tiny_lab.folder))
    (await capture(lab.project, lab.run)).write(lab.templates)
    async with Guard(lab) as running:
        yield running


def ask(path, method, target, body=None):
    """One connection, one call: the answer's body."""
    connection = http.client.HTTPConnection("docker")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request(method, target, body, {"Connection": "close", "Content-Type": "application/json"})
    with connection.getresponse() as answer:
        return answer.read()


def stream(path, container, count):
    """Seconds that `count` bytes of an exec take, and how many came."""
    command = {"Cmd": ["head", "-c", str(count), "/dev/zero"], "AttachStdout": True}
    made = json.loads(ask(path, "POST", f"/containers/{container}/exec", json.dumps(command)))["Id"]
    started, came = time.perf_counter(), 0
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        body = b'{"Tty":true}'
        client.sendall(b"POST /exec/%b/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n" % made.encode())
        client.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        while chunk := client.recv(1 << 20):
            came += len(chunk)
    return time.perf_counter() - started, came


def peak(pid):
    """The most memory that a process held, in MB."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return next(int(line[1]) / 1024 for line in lines if line[0] == "VmHWM:")


async def test_median_call(guard, tiny_lab, capsys):
    container = tiny_lab.id("node-1")
    calls = {
        "ping": ("GET", "/_ping"),
        "inspect": ("GET", f"/containers/{container}/json"),
        "list": ("GET", "/containers/json?all=1"),
    }
    paths = {"without": "/var/run/docker.sock", "with": guard.lab.socket}
    times = {(name, way): [] for name in calls for way in paths}
    for _ in range(CALLS):  # in turns, so that both ways meet the same machine
        for name, (method, target) in calls.items():
            for way, path in paths.items():
                started = time.perf_counter()
                ask(path, method, target)
                times[name, way].append(1000 * (time.perf_counter() - started))
    with capsys.disabled():
        print(f"\n{'call':10} {'without':>9} {'with':>9} {'added':>9} {'n':>5}")
        for name in calls:
            without, through = (statistics.median(times[name, way]) for way in paths)
            print(f"{name:10} {without:7.2f}ms {through:7.2f}ms {through - without:7.2f}ms {CALLS:5}")


async def test_a_gigabyte(guard, tiny_lab, capsys):
    container = tiny_lab.id("node-1")
    before = psutil.Process(guard.pid).memory_info().rss / 1024**2
    without, _ = stream("/var/run/docker.sock", container, GIGABYTE)
    through, came = stream(guard.lab.socket, container, GIGABYTE)
    assert came >= GIGABYTE
    with capsys.disabled():
        print(f"\n{'stream':10} {'without':>9} {'with':>9} {'RSS':>9} {'peak':>9} {'cores':>6}")
        print(
            f"{'1 GB exec':10} {without:8.2f}s {through:8.2f}s {before:6.1f} MB {peak(guard.pid):6.1f} MB"
            f" {os.cpu_count():6}"
        )
