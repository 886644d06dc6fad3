"""Tries to use up what the machine has: the lab may suffer, the machine, the harness and other labs may not."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BOMB = "b() { b | b & }; b; sleep 3"
HOG = "python3 -c 'x = []\nwhile True: x.append(bytearray(16 << 20))'"


def usable(lab: Any) -> None:
    """The operator's shell, its guard and the daemon still answer."""
    until = time.monotonic() + 30
    while (done := lab.run("docker ps -q", timeout_s=10)).exit_code != 0:
        assert time.monotonic() < until, done.stdout + done.stderr


def mended(lab: Any) -> None:
    """What a try brought down in the lab comes back with a reset."""
    lab.runner.run(lab.deployment.reset())
    lab.works()


@pytest.mark.parametrize("bomb", [BOMB, f"setsid bash -c '{BOMB}' & sleep 3"])
def test_a_fork_bomb(lab: Any, bomb: str) -> None:
    before = lab.outside()
    try:
        lab.run(bomb, timeout_s=6)
        assert len(psutil.pids()) < 5000
        if "setsid" not in bomb:
            usable(lab)
    finally:
        mended(lab)  # whatever of it lives on would be trouble for every test after this one
    usable(lab)
    assert _without_agent(lab.outside()) == _without_agent(before)


def _without_agent(outside: dict[str, Any]) -> dict[str, Any]:
    """A reset starts the operator's own container anew."""
    return {**outside, "containers": [one for one in outside["containers"] if "_agent_" not in one[0]]}


@pytest.mark.parametrize("member", ["node-1", "redis"])
def test_a_fork_bomb_in_a_member(lab: Any, member: str) -> None:
    before = lab.outside()
    try:
        lab.run(f"timeout 5 docker exec ${{PROJECT}}_{member}_1 bash -c {shlex.quote(BOMB)}", timeout_s=15)
        usable(lab)
    finally:
        mended(lab)
    assert _without_agent(lab.outside()) == _without_agent(before)


def test_memory(lab: Any, attempt: Any) -> None:
    attempt(f"timeout 20 {HOG}")
    available = psutil.virtual_memory().available
    lab.run(f"timeout 20 docker exec $NODE {HOG}", timeout_s=30)
    assert psutil.virtual_memory().available > available - (1 << 30)
    usable(lab)
    mended(lab)


def test_filling_every_place_that_can_be_written(lab: Any, attempt: Any) -> None:
    places = "/tmp /lab /root /dev/shm /dev /data /prometheus /var /run"
    fill = f"for d in {places}; do dd if=/dev/zero of=$d/fill bs=1M count=512; done"
    attempt(f"{fill}; rm -f /tmp/fill /lab/fill /root/fill /dev/shm/fill /dev/fill")
    for who in ("-u 0 $NODE", "$NODE", "${PROJECT}_redis_1", "-u 0 ${PROJECT}_prometheus_1"):
        done = lab.run(f"docker exec {who} sh -c {shlex.quote(fill)}")
        assert "512+0 records out" not in done.stderr
    usable(lab)
    mended(lab)


def test_a_flood_of_log(lab: Any) -> None:
    lab.run("docker exec $NODE bash -c 'yes $(head -c 2000 /dev/zero | tr \"\\0\" x) | timeout 6 cat > /proc/1/fd/1'")
    usable(lab)
    log = Path(lab.other.engine.api.inspect_container(f"{lab.deployment.run_id}_node-1_1")["LogPath"])
    try:
        sizes = [file.stat().st_size for file in log.parent.glob(f"{log.name}*")]
    except PermissionError:
        pytest.skip("the daemon's files are not this user's to see")
    assert 0 < sum(sizes) < 5 << 20
    mended(lab)


def test_much_output(lab: Any, attempt: Any) -> None:
    said = attempt("head -c 300000000 /dev/zero | tr '\\0' x")
    assert len(said) < 2_000_000


HOLD = """
import socket, sys, time
held = []
for _ in range(900):
    one = socket.socket(socket.AF_UNIX)
    one.connect("/run/guard/docker.sock")
    one.sendall(b"POST /x HTTP/1.1\\r\\nHost: d\\r\\nContent-Length: 9\\r\\n\\r\\n{" if len(held) % 2 else b"GET")
    held.append(one)
time.sleep(2)
"""


def test_connections_that_never_ask(lab: Any, attempt: Any) -> None:
    attempt(f"printf %s {shlex.quote(HOLD)} | python3 -")
    usable(lab)


CREATE = """
import os, socket
project, made = os.environ["PROJECT"], 0
for number in range(1500):
    one = socket.socket(socket.AF_UNIX)
    one.connect("/run/guard/docker.sock")
    body = os.environ["BODY"].encode()
    head = f"POST /containers/create?name={project}_node-1_{number + 100} HTTP/1.1\\r\\nHost: d\\r\\n"
    head += f"Content-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
    one.sendall(head.encode() + body)
    made += b" 201 " in one.recv(200)
print("made", made)
"""


def _body(project: str) -> dict[str, Any]:
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": "node-1",
              "operatorlab.part": "system", "operatorlab.run": project}  # fmt: skip
    host = {
        "NanoCpus": 10**9, "Memory": 192 << 20, "PidsLimit": 64, "CapDrop": ["ALL"], "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges:true"], "Tmpfs": {"/tmp": "size=8m,mode=1777"}, "Dns": ["127.0.0.1"],
        "DnsOptions": ["timeout:1", "attempts:1"], "NetworkMode": f"{project}_lab",
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "2m", "max-file": "2"}},
    }  # fmt: skip
    return {"Image": "operatorlab/ratelimiter:0.1.0", "Labels": labels, "HostConfig": host}


@pytest.mark.timeout(400)
def test_thousands_of_containers(lab: Any, attempt: Any) -> None:
    """One that the guard takes, again and again: it counts."""
    before = lab.outside()
    size = lab.audit.stat().st_size
    command = f"export PROJECT BODY={shlex.quote(json.dumps(_body(lab.deployment.run_id)))}; "
    command += f"printf %s {shlex.quote(CREATE)} | python3 -"
    said = lab.run(command, timeout_s=300).stdout
    lab.run("docker ps -aq -f status=created | xargs docker rm -f")
    made = int(said.split()[-1])
    assert 0 < made <= 20
    assert lab.audit.stat().st_size - size < 20 << 20
    assert lab.outside() == before
    lab.works()
