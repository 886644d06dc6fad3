"""The stack as people bring it up by hand: it works, it is closed, a restart is as new, and nothing is left of it."""

from __future__ import annotations

import ipaddress
import json
import socket
import urllib.request
from collections.abc import Callable

import pytest

from .conftest import Stack, docker, eventually
from .test_files import NODES, expressions

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("compose")]


def _ready(stack: Stack) -> bool:
    found = docker("ps", "--filter", f"label=com.docker.compose.project={stack.project}", "--format", "{{.Status}}")
    states = found.splitlines()
    assert len(states) >= 8, "a container has ended"
    return all("(healthy)" in state for state in states)


def _redis(stack: Stack, *command: str) -> str:
    return stack.inside("redis", "redis-cli", *command).strip()


def test_it_comes_up_works_and_is_watched(stack: Stack):
    stack.compose("up", "-d")
    eventually(lambda: _ready(stack))
    for node in NODES:
        assert json.loads(stack.get(f"http://{node}:8000/ready"))["status"] == "ready"
    stack.compose("--profile", "load", "up", "-d", "load")
    eventually(lambda: len(stack.query('up{job="ratelimiter"} == 1')) == 3)
    eventually(lambda: len(stack.query("rate(ratelimiter_decisions_total[15s]) > 0")) >= 3)
    for expression in expressions():
        stack.query(expression)
    states = json.loads(stack.get("http://prometheus:9090/api/v1/rules"))["data"]["groups"][0]["rules"]
    assert len(states) == 7
    assert {rule["health"] for rule in states} == {"ok"}
    assert not [rule["name"] for rule in states if rule["state"] == "firing"]


def test_a_path_can_be_cut_and_a_restart_mends_it(stack: Stack):
    stack.compose("up", "-d")
    eventually(lambda: _ready(stack))
    rules = json.loads(stack.inside("link-node-1", "cat", "etc/links/node-1-redis.json"))
    cut = json.dumps({**rules, "drop": True})
    stack.inside("link-node-1", "bash", "-c", f"echo '{cut}' > etc/links/node-1-redis.json && kill -HUP 1")
    applied = ("link-node-1", "cat", "data/node-1-redis/applied.json")
    eventually(lambda: json.loads(stack.inside(*applied))["drop"])
    eventually(lambda: stack.query('ratelimiter_ready{node="node-1"} == 0') != [])
    assert stack.query('ratelimiter_ready{node="node-2"} == 1')
    stack.compose("restart", "link-node-1")
    eventually(lambda: json.loads(stack.inside(*applied))["drop"] is False)
    eventually(lambda: stack.query('ratelimiter_ready{node="node-1"} == 1') != [])


def test_redis_gone_and_back_is_missed_and_found_again_soon(stack: Stack):
    stack.compose("up", "-d")
    eventually(lambda: _ready(stack))
    _redis(stack, "set", "kept", "no")
    stack.compose("kill", "redis")
    eventually(lambda: len(stack.query("ratelimiter_ready == 0")) == 3)
    stack.compose("start", "redis")
    eventually(lambda: len(stack.query("ratelimiter_ready == 1")) == 3, within_s=8)
    assert _redis(stack, "get", "kept") == "", "a restart is as new"


def test_the_counters_volume_can_be_full_and_the_host_s_disk_is_not(stack: Stack):
    stack.compose("up", "-d", "redis")
    eventually(lambda: _redis(stack, "ping") == "PONG")
    stack.inside("redis", "bash", "-c", "dd if=/dev/zero of=/data/ballast bs=1M 2>/dev/null; true")
    eventually(lambda: "MISCONF" in _redis(stack, "set", "a", "b" * 100_000))
    stack.inside("redis", "rm", "/data/ballast")
    eventually(lambda: _redis(stack, "set", "a", "b") == "OK")


_TRY = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)
except OSError as trouble:
    print(type(trouble).__name__)
"""


def test_nothing_can_be_written_where_it_would_stay_and_no_way_leads_to_the_host(stack: Stack):
    stack.compose("up", "-d", "node-1")
    for service in ("node-1", "link-node-1", "redis"):
        assert "Read-only" in stack.inside(service, "bash", "-c", "touch /lab/x /x 2>&1 || true")
        assert int(stack.inside(service, "bash", "-c", "grep CapEff /proc/1/status | cut -f2"), 16) == 0
    container = stack.compose("ps", "-q", "redis").strip()
    assert docker("inspect", "--format", "{{.Mounts}}", container).strip() == "[]"
    gateway = str(next(ipaddress.ip_network(stack.subnet).hosts()))
    with socket.create_server(("0.0.0.0", 0)) as on_the_host:
        port = str(on_the_host.getsockname()[1])
        tried = stack.inside("node-1", "python", "-c", _TRY, gateway, port)
    assert tried.strip() in ("TimeoutError", "OSError"), "nobody has the gateway's address"


def test_the_host_is_let_in_on_ports_of_loopback_that_docker_chooses(make_stack: Callable[..., Stack]):
    stack = make_stack("published.yaml")
    stack.compose("up", "-d")
    eventually(lambda: _ready(stack))
    host, _, port = stack.compose("port", "ingress", "8001").strip().partition(":")
    assert host == "127.0.0.1"
    with urllib.request.urlopen(f"http://{host}:{port}/ready", timeout=5) as answer:
        assert json.load(answer)["node"] == "node-1"
    stack.compose("kill", "node-1")
    assert _ask(host, int(port)) == b""  # a reset, of which Docker's own proxy on loopback makes an end


def _ask(host: str, port: int) -> bytes:
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
        return connection.recv(1)


def test_three_at_once_do_not_meet(make_stack: Callable[..., Stack]):
    stacks = []
    for number in range(3):
        stack = make_stack()
        stack.compose("up", "-d")
        stacks.append(stack)
        eventually(lambda stack=stack, number=number: _redis(stack, "set", "whose", str(number)) == "OK")
    for number, stack in enumerate(stacks):
        eventually(lambda stack=stack: _ready(stack))
        assert _redis(stack, "get", "whose") == str(number)
