"""Docker or a skip, and stacks of the rate limiter in networks of their own, of which nothing is left."""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STACK = ROOT / "compose" / "ratelimiter"
VERSION = "0.1.0"
_SUBNETS = ipaddress.ip_network("10.213.208.0/20")


def docker(*arguments: str, check: bool = True) -> str:
    """What a Docker command prints."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """Skips where no Docker answers, or where there is no compose."""
    if not (shutil.which("docker") and shutil.which("docker-compose")):
        pytest.skip("docker and docker-compose are not both here")
    if subprocess.run(["docker", "version"], capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("no Docker daemon answers")


@pytest.fixture(scope="session")
def images(docker_engine: None) -> None:
    """Skips where the images were not made."""
    wanted = [
        *(f"operatorlab/{name}:{VERSION}" for name in ("ratelimiter", "relay", "prometheus", "agent")),
        "redis:7.0.15",
    ]
    if subprocess.run(["docker", "image", "inspect", *wanted], capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("the images of the stacks are not here: make images")


@dataclass
class Stack:
    """One compose project, by hand."""

    project: str
    subnet: str
    edge_subnet: str = "10.213.208.32/28"
    files: tuple[str, ...] = ("compose.yaml",)

    def compose(self, *arguments: str) -> str:
        """What `docker-compose` prints."""
        settings = {
            "COMPOSE_PROJECT_NAME": self.project,
            "OPERATORLAB_SUBNET": self.subnet,
            "OPERATORLAB_EDGE_SUBNET": self.edge_subnet,
        }
        command = ["docker-compose", *(part for file in self.files for part in ("-f", file)), *arguments]
        done = subprocess.run(
            command, cwd=STACK, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def inside(self, service: str, *command: str) -> str:
        """What a command prints in a service's container."""
        return self.compose("exec", "-T", service, *command)

    def get(self, url: str) -> str:
        """The body of a page, as node-1 gets it."""
        return self.inside(
            "node-1",
            "python",
            "-c",
            f"import urllib.request as u; print(u.urlopen({url!r}, timeout=2).read().decode())",
        )

    def query(self, expression: str) -> list[dict[str, object]]:
        """What Prometheus answers."""
        from urllib.parse import quote

        answer = json.loads(self.get(f"http://prometheus:9090/api/v1/query?query={quote(expression)}"))
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def left(self) -> list[str]:
        """Containers, networks and volumes of this project."""
        mine = ("--filter", f"label=com.docker.compose.project={self.project}")
        found = (docker("ps", "-aq", *mine), docker("network", "ls", "-q", *mine), docker("volume", "ls", "-q", *mine))
        return " ".join(found).split()


def eventually(look: Callable[[], bool], within_s: float = 30) -> None:
    """Wait for what nothing tells of."""
    until = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.3)


def _unused(prefix: int) -> str:
    """A subnet that no network of this Docker has."""
    networks = docker("network", "ls", "-q").split()
    listed = docker(
        "network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", *networks, check=False
    )
    used = [ipaddress.ip_network(subnet) for subnet in listed.split()]
    free = [one for one in _SUBNETS.subnets(new_prefix=prefix) if not any(one.overlaps(other) for other in used)]
    return str(secrets.choice(free))


@pytest.fixture
def make_stack(images: None) -> Iterator[Callable[..., Stack]]:
    """Projects that are not up yet; takes down what was brought up and checks that nothing is left."""
    made: list[Stack] = []

    def make(*files: str) -> Stack:
        stack = Stack(f"handmade-{secrets.token_hex(3)}", _unused(27), _unused(28), ("compose.yaml", *files))
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.compose("--profile", "load", "down", "--volumes", "-t", "2")
    assert not [thing for stack in made for thing in stack.left()]


@pytest.fixture
def stack(make_stack: Callable[..., Stack]) -> Stack:
    return make_stack()
