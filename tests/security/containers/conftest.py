"""A live lab of containers, an operator in it, and everything outside that it must not reach."""

from __future__ import annotations

import asyncio
import secrets
import selectors
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from operatorlab.audit import AuditStore
from operatorlab.deploy.compose.deployment import ComposeDeployment
from operatorlab.deploy.compose.stack import RELAY_IMAGE
from operatorlab.sandbox import ExecResult, Mode, Sandbox
from subjects.ratelimiter.subject import RateLimiter

OUT = "got-out"
"""What a try prints if it works."""
MEMBERS = ("redis", "node-1", "node-2", "node-3", "link-node-1", "link-node-2", "link-node-3", "prometheus")
_LISTENER = """
import socket
s = socket.create_server(("0.0.0.0", 8000))
print("ready", flush=True)
while True:
    print(s.accept()[1], flush=True)
"""


class Tripwire:
    """Listens for TCP and UDP at `address`; `touched` is who came."""

    def __init__(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.touched: list[str] = []
        self._tcp = socket.create_server((address, 0), family=family, dualstack_ipv6=family == socket.AF_INET6)
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            self._udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._udp.bind((address, self.port))
        self._ends, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as ready:
            for one in (self._tcp, self._udp, self._ends):
                ready.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fileobj is self._ends:
                        return
                    if key.fileobj is self._udp:
                        self.touched.append(f"{self._udp.recvfrom(100)}")
                    else:
                        connection, peer = self._tcp.accept()
                        connection.close()
                        self.touched.append(f"{peer}")

    def close(self) -> None:
        self._end.close()
        self._thread.join()
        for one in (self._tcp, self._udp, self._ends):
            one.close()


@dataclass
class Escapes:
    """The lab, its operators, and what is outside."""

    deployment: ComposeDeployment
    audit: Path
    other: Any
    outsider: Any
    folder: Path
    secret: str
    token: str
    wires: tuple[Tripwire, ...]
    names: dict[str, str]
    runner: asyncio.Runner
    boxes: dict[Mode, Sandbox] = field(default_factory=dict)

    def run(self, command: str, mode: Mode = Mode.OPERATE, timeout_s: float = 40) -> ExecResult:
        """Run a command as the operator; every name in `names` is a variable of its shell."""
        settings = "".join(f"{name}={shlex.quote(value)}\n" for name, value in self.names.items())
        return self.runner.run(self.boxes[mode].exec(settings + command, timeout_s))

    def refusals(self, after: int) -> list[Any]:
        with AuditStore(self.audit, readonly=True) as audit:
            told = audit.events(run=self.deployment.run_id, after_seq=after)
        return [event for event in told if event.kind == "guard.refused"]

    def last_event(self) -> int:
        with AuditStore(self.audit, readonly=True) as audit:
            return audit.events()[-1].seq

    def harness(self, service: str) -> Any:
        return self.other.engine.containers.get(f"{self.deployment.run_id}_{service}_1")

    def outside(self) -> dict[str, object]:
        """Everything that a try could have reached or changed, as seen from here."""
        engine = self.other.engine
        theirs = [engine.containers.get(self.other.id(name)) for name in ("node-1", "node-2", "node-3", "keeper")]
        mine = [self.harness(service) for service in ("ingress", "reader", "agent", "observer")]
        found = [*theirs, *mine, self.outsider, engine.containers.get(self.other.stranger)]
        names = [name for one in engine.api.containers(all=True) for name in one["Names"]]
        names += [one["Name"] for one in [*engine.api.networks(), *(engine.api.volumes()["Volumes"] or ())]]
        tags = [tag for image in engine.api.images() for tag in image["RepoTags"] or ()]
        return {
            "containers": sorted((_looks(one.attrs, execs=one not in mine[2:]) for one in found), key=str),
            "made": [name for name in (*names, *tags) if self.token in name],
            "listeners": [wire.touched for wire in self.wires],
            "outsider": self.outsider.logs(),
            "files": {path.name: path.read_text() for path in (self.folder / "outside").iterdir()},
            "kernel": Path("/proc/sys/kernel/core_pattern").read_text() + socket.gethostname(),
        }

    def works(self) -> None:
        """Every member runs and the operator can see it."""
        listed = self.run("docker ps -q | wc -l")
        assert listed.stdout.strip() == str(len(MEMBERS)), listed.stdout + listed.stderr


def _looks(told: dict[str, Any], *, execs: bool) -> object:
    networks = sorted(told["NetworkSettings"]["Networks"])
    state = [told["State"][name] for name in ("StartedAt", "Running", "Paused")]
    limits = [told["HostConfig"][name] for name in ("Memory", "NanoCpus", "RestartPolicy")]
    return told["Name"], state, networks, limits, told["ExecIDs"] if execs else None


@pytest.fixture(scope="module")
def lab(containers: None, tiny_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Escapes]:
    """A lab with a guard for each mode. What is outside: another lab, others' containers, files, listeners, a key."""
    folder = tmp_path_factory.mktemp("escapes")
    secret, token = f"sk-ant-canary-{secrets.token_hex(12)}", f"escaped-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("OPERATORLAB_HOME", str(folder / "home"))
        environment.setenv("ANTHROPIC_API_KEY", secret)
        (folder / "outside").mkdir()
        (folder / "outside" / "canary").write_text(secret)
        wires = (Tripwire("::"), Tripwire("127.0.0.1"))
        for wire in wires:
            stack.callback(wire.close)
        outsider = stack.enter_context(_outsider(tiny_lab.engine, f"outsider-{secrets.token_hex(4)}"))
        runner = stack.enter_context(asyncio.Runner(loop_factory=asyncio.new_event_loop))
        ending = AsyncExitStack()
        stack.callback(lambda: runner.run(ending.aclose()))
        deployment = runner.run(ComposeDeployment.up(RateLimiter()))
        ending.push_async_callback(deployment.down)
        audit = folder / "audit.db"
        with AuditStore(audit) as store:
            store.begin_run(deployment.run_id, "ratelimiter", "compose", str(deployment.folder))
        found = Escapes(deployment, audit, tiny_lab, outsider, folder, secret, token, wires, {}, runner)
        for mode in Mode:
            found.boxes[mode] = runner.run(ending.enter_async_context(deployment.sandbox(audit, mode)))
        found.names.update(_names(found))
        yield found
        runner.run(deployment.reset())
        assert runner.run(deployment.freshness()) == {}


@contextmanager
def _outsider(engine: Any, name: str) -> Iterator[Any]:
    """Somebody's container on a network of its own, which tells who comes."""
    network = engine.networks.create(name)
    try:
        container = engine.containers.run(
            RELAY_IMAGE, ["python", "-c", _LISTENER], detach=True, init=True, name=name, network=name
        )
        try:
            while b"ready" not in container.logs():
                time.sleep(0.1)
            container.reload()
            yield container
        finally:
            container.remove(force=True)
    finally:
        network.remove()


def _names(lab: Escapes) -> dict[str, str]:
    """The variables of a try's shell: it may know all that an insider could tell it."""
    project, other = lab.deployment.run_id, lab.other
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": "node-1",
              "operatorlab.part": "system", "operatorlab.run": project}  # fmt: skip
    like = [
        *("--name", f"{project}_node-1_9", *(word for pair in labels.items() for word in ("-l", "=".join(pair)))),
        *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"),
        *("--tmpfs", "/tmp:size=8m,mode=1777", "-m", "192m", "--cpus", "1", "--pids-limit", "64"),
        *("--dns", "127.0.0.1", "--dns-opt", "timeout:1", "--dns-opt", "attempts:1"),
        *("--log-driver", "json-file", "--log-opt", "max-size=2m", "--log-opt", "max-file=2"),
    ]
    things = [lab.harness(service) for service in ("ingress", "reader", "agent")]
    things += [other.engine.containers.get(other.id("node-1")), other.engine.containers.get(other.stranger)]
    foreign = [ref for one in things for ref in (one.name, one.id, one.id[:10])]
    subnets = lab.deployment.record.subnets
    addresses = [one for each in psutil.net_if_addrs().values() for one in each if one.address]
    v4 = [one.address for one in addresses if one.family == socket.AF_INET]
    v6 = [one.address.partition("%")[0] for one in addresses if one.family == socket.AF_INET6]
    bridge = f"br-{other.engine.networks.get(f'{project}_lab').id[:12]}"
    return {
        "PROJECT": project, "NODE": f"{project}_node-1_1", "IMAGE": "operatorlab/ratelimiter:0.1.0",
        "LIKE": " ".join(like), "NET": f"--network {project}_lab",
        "INGRESS": things[0].name, "INGRESS_ID": things[0].id, "FOREIGN": " ".join(foreign),
        "OTHER": other.project, "STRANGER": other.stranger, "TOKEN": lab.token,
        "CANARY": str(lab.folder / "outside" / "canary"), "LANDING": str(lab.folder / "outside"),
        "HOME_OF_LAB": str(lab.deployment.folder), "AUDIT": str(lab.audit),
        "PORT": str(lab.wires[0].port), "LOOPBACK_PORT": str(lab.wires[1].port),
        "HOST4": " ".join(v4), "HOST6": " ".join(v6),
        "MAC": Path(f"/sys/class/net/{bridge}/address").read_text().strip(),
        "OUTSIDER": _address(lab.outsider), "OTHER_NODE": _address(things[3]), "EDGE": _address(things[0], "_edge"),
        "GATEWAYS": " ".join(subnet.rsplit(".", 1)[0] + f".{int(subnet.split('/')[0].rsplit('.', 1)[1]) + 1}"
                             for subnet in subnets.values()),
    }  # fmt: skip


def _address(container: Any, network: str = "") -> str:
    found = container.attrs["NetworkSettings"]["Networks"].items()
    return next(str(each["IPAddress"]) for name, each in found if name.endswith(network))


Try = Callable[..., str]


@pytest.fixture
def attempt(lab: Escapes) -> Try:
    """Runs a try: it must get nowhere, change nothing outside, be refused so often on record, and harm no lab."""

    def check(command: str, *, refused: int = 0, mode: Mode = Mode.OPERATE, timeout_s: float = 40) -> str:
        before, seen = lab.outside(), lab.last_event()
        done = lab.run(command, mode, timeout_s)
        said = done.stdout + done.stderr
        assert OUT not in said, said
        assert lab.secret not in said
        told = lab.refusals(seen)
        assert len(told) >= refused, (said, told)
        assert all(event.payload["why"] for event in told)
        assert lab.outside() == before
        lab.works()
        return said

    return check
