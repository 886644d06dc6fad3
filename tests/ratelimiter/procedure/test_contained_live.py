"""The procedure against real containers: it finds what is wrong, repairs that, and afterwards every node is ready."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from operatorlab.procedure import Conclusion, Printed, Step
from operatorlab.subject import FaultKind
from subjects.ratelimiter.procedure import diagnose

_COMPOSE = Path(__file__).parents[3] / "compose/ratelimiter/compose.yaml"
_IMAGES = ("operatorlab/ratelimiter:0.1.0", "operatorlab/relay:0.1.0", "operatorlab/agent:0.1.0", "redis:7.0.15")
_SERVICES = ("redis", *(f"{link}node-{number}" for link in ("link-", "") for number in (1, 2, 3)))
_TICKET = "component: {}\ninvariant: {}\n"

pytestmark = pytest.mark.slow


def run(*command: str, stdin: str | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=stdin, env=env, capture_output=True, text=True, check=False)


def must(*command: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    done = run(*command, stdin=stdin, env=env)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@dataclass
class Stack:
    """The rate limiter as a compose project of its own, and a container to work from in place of an operator's."""

    project: str
    settings: dict[str, str] = field(default_factory=dict)

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        calls = ["docker", "compose"] if run("docker", "compose", "version").returncode == 0 else ["docker-compose"]
        return run(*calls, "-f", str(_COMPOSE), *arguments, env={**os.environ, **self.settings})

    def up(self) -> None:
        for _ in range(20):
            subnet = f"10.213.{224 + secrets.randbelow(16)}.{32 * secrets.randbelow(8)}/27"
            self.settings = {"COMPOSE_PROJECT_NAME": self.project, "OPERATORLAB_SUBNET": subnet}
            started = self.compose("up", "-d", *_SERVICES)
            if started.returncode == 0:
                break
            self.compose("down", "-t", "0")
            assert "overlap" in started.stderr, started.stderr
        socket = "/var/run/docker.sock:/run/guard/docker.sock"
        options = ("--name", f"{self.project}-shell", "--network", f"{self.project}_lab", "-v", socket)
        must("docker", "run", "-d", "--rm", *options, "--tmpfs", "/lab", _IMAGES[2])
        told = "".join(f"{name}={value}\n" for name, value in self.settings.items())
        for file, text in (("compose.yaml", _COMPOSE.read_text()), (".env", told)):
            must("docker", "exec", "-i", f"{self.project}-shell", "sh", "-c", f"cat >/lab/{file}", stdin=text)

    def down(self) -> None:
        run("docker", "rm", "-f", f"{self.project}-shell")
        done = self.compose("down", "-t", "0")
        assert done.returncode == 0, done.stderr

    def shell(self, command: str) -> Printed:
        done = run("docker", "exec", f"{self.project}-shell", "bash", "-c", command)
        return Printed(done.returncode, done.stdout + (f"\n[stderr]\n{done.stderr}" if done.stderr else ""))

    def container(self, service: str) -> str:
        labels = {"project": self.project, "service": service}
        filters = [f"--filter=label=com.docker.compose.{name}={value}" for name, value in labels.items()]
        return must("docker", "ps", "-aq", *filters)

    def docker(self, verb: str, service: str, *more: str) -> str:
        return must("docker", *verb.split(), *more, self.container(service))

    def iptables(self, service: str, *rule: str) -> None:
        pid = self.docker("inspect", service, "--format", "{{.State.Pid}}")
        theirs, ours = (Path("/proc", who, "ns/net").readlink() for who in (pid, "self"))
        assert theirs != ours, "never in the namespace of the machine"
        must("nsenter", "-t", pid, "-n", "iptables", *rule)

    def address(self, service: str) -> str:
        return self.docker("inspect", service, "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")

    def ready(self) -> bool:
        asked = (
            f"curl -s -m 2 -o /dev/null -w '%{{http_code}} ' http://node-{number}:8000/ready" for number in (1, 2, 3)
        )
        return self.shell("; ".join(asked)).output.split().count("200") == 3

    async def play(self, component: str, invariant: str = "node_down") -> tuple[Conclusion, list[str]]:
        """The procedure's conclusion, and every command it ran."""
        commands: list[str] = []
        playing = diagnose(_TICKET.format(component, invariant))
        step: Step = next(playing)
        while len(commands) < 39:
            commands.append(step.command)
            printed = await asyncio.to_thread(self.shell, step.command)
            try:
                step = playing.send(printed)
            except StopIteration as done:
                return done.value, commands
        raise AssertionError(f"no conclusion after {commands}")


def _missing() -> str:
    if not shutil.which("docker") or run("docker", "info").returncode:
        return "no Docker daemon answers"
    if not _COMPOSE.exists():
        return "the compose file of the rate limiter is not here"
    absent = [image for image in _IMAGES if run("docker", "image", "inspect", image).returncode]
    return f"images are not built: {', '.join(absent)}" if absent else ""


@pytest.fixture(scope="module")
def up() -> Iterator[Stack]:
    if why := _missing():
        pytest.skip(why)
    stack = Stack(f"runbook-{secrets.token_hex(3)}")
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


@pytest.fixture
def stack(up: Stack) -> Iterator[Stack]:
    """All well, before the test; after it too, or it is made so for the next."""
    until = time.monotonic() + 20
    while not up.ready():
        assert time.monotonic() < until, "never ready"
    yield up
    if not up.ready():
        up.compose("up", "-d", "--force-recreate", "-t", "0", *_SERVICES)


def kinds(said: Conclusion) -> tuple[str, FaultKind, tuple[str, ...]]:
    print(said)  # noqa: T201 — shown with a test that fails
    return said.outcome, FaultKind(said.kind), said.blamed


async def test_with_nothing_wrong_nothing_is_touched(stack):
    said, commands = await stack.play("node-1")
    assert kinds(said) == ("no_action_needed", FaultKind.NONE, ())
    assert len(commands) == 6


async def test_a_killed_node_is_started(stack):
    stack.docker("kill", "node-2")
    said, _ = await stack.play("node-2")
    assert kinds(said) == ("resolved", FaultKind.CRASH, ("node-2",))
    assert said.changed == ("started node-2",)
    assert stack.ready()


async def test_a_paused_node_goes_on(stack):
    stack.docker("pause", "node-3")
    said, commands = await stack.play("node-3")
    assert kinds(said) == ("resolved", FaultKind.HANG, ("node-3",))
    assert any(command.startswith("docker unpause") for command in commands)
    assert stack.ready()


async def test_a_node_stopped_by_a_signal_goes_on(stack):
    stack.docker("kill", "node-1", "-s", "STOP")
    said, _ = await stack.play("node-1")
    assert kinds(said) == ("resolved", FaultKind.HANG, ("node-1",))
    assert said.changed == ("let node-1 go on",)
    assert stack.ready()


async def test_a_killed_redis_is_started_and_no_node_is_touched(stack):
    stack.docker("kill", "redis")
    said, _ = await stack.play("redis", "redis_disconnected")
    assert kinds(said) == ("resolved", FaultKind.DEPENDENCY_DOWN, ("redis",))
    assert said.changed == ("started redis",)
    assert stack.ready()


async def test_a_cut_link_is_opened_in_its_rule(stack):
    container = stack.container("link-node-1")
    must("docker", "exec", container, "sed", "-i", 's/"drop": false/"drop": true/', "etc/links/node-1-redis.json")
    must("docker", "kill", "-s", "HUP", container)
    before = stack.docker("inspect", "link-node-1", "--format", "{{.State.StartedAt}}")
    said, _ = await stack.play("node-1", "redis_disconnected")
    assert kinds(said) == ("resolved", FaultKind.PARTITION, ("node-1",))
    assert stack.docker("inspect", "link-node-1", "--format", "{{.State.StartedAt}}") == before, "it was not restarted"
    assert stack.ready()


async def test_a_raised_limit_goes_back_to_what_is_declared(stack):
    body = "-H 'content-type: application/json' -d '{\"limit\": 20000}'"
    stack.shell(f"curl -s -f -X PUT {body} http://node-1:8000/api/limits/tenant-a")
    said, _ = await stack.play("tenant-a", "ghost_allowing")
    assert kinds(said) == ("resolved", FaultKind.MISCONFIGURATION, ("tenant-a",))
    assert '"overrides":{}' in stack.shell("curl -s http://node-2:8000/api/limits").output


@pytest.mark.parametrize(("service", "blamed"), [("node-2", "node-2"), ("redis", "redis"), ("link-node-3", "node-3")])
async def test_what_is_off_its_network_is_connected_under_its_name(stack, service, blamed):
    must("docker", "network", "disconnect", f"{stack.project}_lab", stack.container(service))
    said, _ = await stack.play(blamed)
    assert kinds(said) == ("resolved", FaultKind.PARTITION, (blamed,))
    assert stack.ready()


@pytest.mark.parametrize("service", ["node-2", "redis"])
async def test_a_cpu_limit_goes_back_to_what_is_declared(stack, service):
    before = stack.docker("inspect", service, "--format", "{{.HostConfig.NanoCpus}}")
    stack.docker("update", service, "--cpus", "0.05")
    said, _ = await stack.play(service, "high_latency")
    assert kinds(said) == ("resolved", FaultKind.RESOURCE_CPU, (service,))
    assert stack.docker("inspect", service, "--format", "{{.HostConfig.NanoCpus}}") == before
    assert stack.ready()


async def test_a_memory_limit_goes_back_to_what_is_declared(stack):
    stack.docker("update", "node-1", "--memory", "64m", "--memory-swap", "64m")
    said, _ = await stack.play("node-1")
    assert kinds(said) == ("resolved", FaultKind.RESOURCE_MEMORY, ("node-1",))
    assert stack.docker("inspect", "node-1", "--format", "{{.HostConfig.Memory}}") == str(192 << 20)


async def test_packets_dropped_in_the_network_of_a_node_end_with_a_restart_of_that_node_alone(stack):
    stack.iptables("node-2", "-A", "OUTPUT", "-d", stack.address("link-node-2"), "-j", "DROP")
    said, _ = await stack.play("node-2", "redis_disconnected")
    assert kinds(said) == ("resolved", FaultKind.PARTITION, ("node-2",))
    assert said.changed == ("restarted node-2",)
    assert stack.ready()


async def test_packets_dropped_in_the_network_of_a_link_end_with_a_restart_of_that_link_alone(stack):
    stack.iptables("link-node-1", "-A", "OUTPUT", "-d", stack.address("redis"), "-j", "DROP")
    said, _ = await stack.play("node-1", "redis_disconnected")
    assert kinds(said) == ("resolved", FaultKind.PARTITION, ("node-1",))
    assert said.changed == ("restarted link-node-1",)
    assert stack.ready()


@pytest.mark.parametrize(("service", "port"), [("node-3", "8000"), ("redis", "6379")])
async def test_who_serves_inside_only_is_cut_off_and_not_hung(stack, service, port):
    stack.iptables(service, "-A", "INPUT", "!", "-i", "lo", "-p", "tcp", "--dport", port, "-j", "DROP")
    said, _ = await stack.play(service)
    assert kinds(said) == ("resolved", FaultKind.PARTITION, (service,))
    assert said.changed == (f"restarted {service}",)
    assert stack.ready()


async def test_ballast_is_removed_from_the_volume_of_redis_and_nothing_of_its_own(stack):
    container = stack.container("redis")
    run("docker", "exec", container, "dd", "if=/dev/zero", "of=/data/.ballast", "bs=64k", "status=none")
    key = f"kept-{secrets.token_hex(4)}"
    said, _ = await stack.play("redis", "redis_disconnected")
    assert kinds(said) == ("resolved", FaultKind.RESOURCE_DISK, ("redis",))
    assert stack.ready()
    assert "OK" in stack.shell(f"redis-cli -h redis SET {key} 1; redis-cli -h redis DEL {key}").output
    assert "appendonly" in must("docker", "exec", container, "ls", "/data/appendonlydir")


@pytest.mark.parametrize(("service", "kind"), [("node-1", FaultKind.CRASH), ("redis", FaultKind.DEPENDENCY_DOWN)])
async def test_a_removed_container_is_made_again(stack, service, kind):
    stack.docker("rm -f", service)
    said, _ = await stack.play(service)
    assert kinds(said) == ("resolved", kind, (service,))
    assert said.changed == (f"made the container of {service} again",)
    assert stack.ready()


async def test_several_things_at_once_are_all_repaired(stack):
    stack.docker("kill", "node-1")
    stack.docker("pause", "redis")
    stack.docker("rm -f", "link-node-3")
    said, commands = await stack.play("redis", "redis_disconnected")
    assert (said.outcome, set(said.blamed)) == ("resolved", {"redis", "node-1", "node-3"})
    assert len(said.changed) == 3
    assert len(commands) < 20
    assert stack.ready()
