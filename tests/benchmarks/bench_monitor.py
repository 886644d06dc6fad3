"""What the monitor costs: a whole cycle at up to 1,000 nodes beside the bare fetch, and a quiet lab of three.

The nodes are stubs that speak the real HTTP with the pages of a real node under load, all in one process; Redis is
real. Bare fetch and cycles take turns in one process. Asserts no time.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis
from alerting import free_port
from watched import watched_lab

from operatorlab.deploy.programs import find_program
from subjects.ratelimiter.service import scripts

HERE = Path(__file__).parent
COUNTS = (3, 30, 300, 1000)
CYCLES = int(os.environ.get("OPERATORLAB_BENCH_CYCLES", "20"))
QUIET_S = float(os.environ.get("OPERATORLAB_BENCH_QUIET_S", "30"))
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]


def _measure(count, folder):
    """The figures of `many.py` for so many stubs."""
    stubs = subprocess.Popen(
        [sys.executable, str(HERE / "stubs.py"), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    (folder / "redis").mkdir(parents=True)
    ports = json.loads(stubs.stdout.readline())
    ports["redis"] = free_port()
    server = subprocess.Popen(
        [find_program("redis-server"), "--port", str(ports["redis"]), "--save", "", "--dir", str(folder / "redis")],
        stdout=subprocess.DEVNULL,
    )
    try:
        _accepts(ports["redis"])
        with redis.Redis(port=ports["redis"]) as client:  # as if each had allowed something before
            client.hset(scripts.TOTALS, mapping={name: 5 for name in ports if name != "redis"})
        (folder / "ports.json").write_text(json.dumps(ports))
        command = [sys.executable, str(HERE / "many.py"), str(folder / "ports.json"), str(folder / "audit.db")]
        done = subprocess.run([*command, str(CYCLES)], capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    finally:
        for child in (stubs, server):
            child.terminate()
            child.communicate()


def _accepts(port):
    with redis.Redis(port=port, retry=None) as client:
        for _ in range(200):
            try:
                return client.ping()
            except redis.ConnectionError:
                time.sleep(0.05)
    raise AssertionError("redis-server did not come up")


def test_a_cycle_against_the_bare_fetch(tmp_path, capsys):
    found = {count: _measure(count, tmp_path / str(count)) for count in COUNTS}
    with capsys.disabled():
        names = ("nodes", "bare ms", "look ms", "cycle ms", "ratio", "bare cpu", "cycle cpu", "ratio", "peak MB")
        print("\n" + " ".join(f"{name:>10}" for name in names) + "   n")
        for count, one in found.items():
            bare, look, cycle, bare_cpu, cpu = (
                1000 * statistics.median(one[name])
                for name in ("bare_s", "look_s", "cycle_s", "bare_cpu_s", "cycle_cpu_s")
            )
            cells = (bare, look, cycle, cycle / bare, bare_cpu, cpu, cpu / bare_cpu, one["peak_mb"])
            print(f"{count:10} " + " ".join(f"{cell:10.2f}" for cell in cells) + f"   {CYCLES}")
            if one["unseen"] or one["tickets"]:
                print(f"{'':10} {one['unseen']} cycles in which not all was seen, {one['tickets']} tickets")


async def test_the_monitor_of_a_quiet_lab(tmp_path, capsys, own_home):
    rows = []
    for interval_s in (0.5, 0.25):
        async with watched_lab(tmp_path, interval_s) as lab:
            await asyncio.sleep(5)
            used, began = _cpu_s(lab.monitor), time.monotonic()
            await asyncio.sleep(QUIET_S)
            share = (_cpu_s(lab.monitor) - used) / (time.monotonic() - began)
            rows.append((interval_s, share, lab.monitor.memory_info().rss / 1e6, len(lab.unexpected())))
    with capsys.disabled():
        print(f"\n{'a look each':>12} {'of one core':>12} {'memory MB':>10} {'tickets':>8}   over {QUIET_S:g} s")
        for interval_s, share, memory, tickets in rows:
            print(f"{interval_s:10.2f} s {100 * share:10.2f} % {memory:10.0f} {tickets:8}")


def _cpu_s(process: psutil.Process) -> float:
    """Processor time that a process and its threads have used."""
    times = process.cpu_times()
    return times.user + times.system
