"""A subject's compose stack: what its `compose.yaml` says of the members, and the harness that is put around it.

The stack is the system and nothing else. The harness is generated, in the same project: `ingress` lets this
machine reach the members through published loopback ports, and is the only container with a way out of the
lab's network; `agent` is where an operator's commands run. For an operator who may only look there are
`observer`, in a network of its own, and `reader`, which passes on what can only read. The guard keeps all
of them out of an operator's sight.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import yaml

from operatorlab import __version__
from operatorlab.deploy.records import LabRecord
from operatorlab.errors import ContractBroken
from operatorlab.subject import COMPOSE, Subject

PART = "operatorlab.part"
RUN = "operatorlab.run"
SYSTEM, HARNESS = "system", "harness"
LAB, EDGE, VIEW = "lab", "edge", "view"
RELAY_IMAGE = f"operatorlab/relay:{__version__}"
AGENT_IMAGE = f"operatorlab/agent:{__version__}"
_FIRST_INNER = 7000
_LOCKED = {
    "init": True,
    "read_only": True,
    "restart": "unless-stopped",  # the harness, unlike the system, comes back by itself with the daemon
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "stop_grace_period": "1s",
    "dns": "127.0.0.1",  # where nobody answers: no name of the outside is looked up …
    "dns_opt": ["timeout:1", "attempts:1"],  # … and a service that is gone is missed after a second
    "logging": {"driver": "json-file", "options": {"max-size": "5m", "max-file": "2"}},
}


@dataclass(frozen=True, slots=True)
class LinkService:
    """A link of the stack: the service that relays from `source` to `target`."""

    source: str
    target: str
    service: str


@dataclass(frozen=True, slots=True)
class Stack:
    """A compose stack. `members` and `pages` map services to the port they listen on inside the lab's network."""

    file: Path
    members: Mapping[str, int]
    links: tuple[LinkService, ...]
    pages: Mapping[str, int]
    stages: tuple[tuple[str, ...], ...]
    """The services that make up the system: those of a stage need only those of earlier ones."""
    optional: Mapping[str, str]
    """Pages that come up only where their image is to be had: the image, by service."""
    readable: tuple[str, ...]
    """What speaks HTTP and changes nothing on GET."""
    images: frozenset[str]

    def link(self, source: str, target: str) -> LinkService | None:
        """The link from `source` to `target`, if there is one."""
        return next((x for x in self.links if (x.source, x.target) == (source, target)), None)

    @property
    def entries(self) -> Mapping[str, int]:
        """Everything that this machine reaches through the ingress."""
        return {**self.members, **self.pages}


def read_stack(subject: Subject) -> Stack:
    """The stack of `subject`; ContractBroken if it has none, or one that does not fit."""
    if subject.stack is None:
        raise ContractBroken(subject.name, [f"it has no stack: it cannot run as {COMPOSE}"])
    file = subject.stack / "compose.yaml"
    try:
        told = yaml.safe_load(file.read_text())
        lab, services = told["x-operatorlab"], told["services"]
        always = {name: one for name, one in services.items() if not one.get("profiles")}
        pages = {str(name): int(port) for name, port in lab.get("http", {}).items()}
        stack = Stack(
            file=file,
            members={str(name): int(port) for name, port in lab["members"].items()},
            links=tuple(LinkService(**link) for link in lab.get("links", ())),
            pages=pages,
            stages=tuple(_stages({name: one.get("depends_on", ()) for name, one in always.items()})),
            optional={name: str(services[name]["image"]) for name in pages if name not in always},
            readable=tuple(lab.get("readable", ())),
            images=frozenset(str(one["image"]) for one in always.values()),
        )
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as trouble:
        raise ContractBroken(subject.name, [f"{file}: {type(trouble).__name__}: {trouble}"]) from trouble
    missing = {member.name for member in subject.members} ^ set(stack.members)
    if missing:
        raise ContractBroken(subject.name, [f"{file}: its members differ from the subject's in {sorted(missing)}"])
    return stack


def _stages(needs: Mapping[str, Collection[str]]) -> Iterator[tuple[str, ...]]:
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    while ready := sorter.get_ready():
        yield tuple(sorted(ready))
        sorter.done(*ready)


def harness(stack: Stack, record: LabRecord, folder: Path) -> str:
    """The harness as a compose file. `folder` holds the operator's desk and the guards' sockets."""
    services = {
        "ingress": _ingress(stack, record),
        "agent": _agent(folder, "operate", LAB),
        "observer": _observer(stack, record, folder),
        "reader": _reader(stack, record),
    }
    labels = {PART: HARNESS, RUN: record.run_id}
    for service in services.values():
        service["labels"] = labels
    networks = {
        EDGE: _network(record.subnets[EDGE], labels),
        VIEW: _network(record.subnets[VIEW], labels, closed=True),
    }
    return json.dumps({"services": services, "networks": networks}, indent=2) + "\n"


def _network(subnet: str, labels: Mapping[str, str], *, closed: bool = False) -> dict[str, Any]:
    network: dict[str, Any] = {"ipam": {"config": [{"subnet": subnet}]}, "labels": labels}
    if closed:
        network |= {"internal": True, "driver_opts": {"com.docker.network.bridge.inhibit_ipv4": "true"}}
    return network


def _ingress(stack: Stack, record: LabRecord) -> dict[str, Any]:
    forwards, published = [], []
    entries = ((name, port) for name, port in stack.entries.items() if name in record.ports)
    for inner, (name, port) in enumerate(entries, start=_FIRST_INNER):
        forwards.append({"listen": inner, "host": "0.0.0.0", "upstream_host": name, "upstream_port": port})  # noqa: S104
        published.append(f"127.0.0.1:{record.ports[name]}:{inner}")
    return {
        **_LOCKED,
        "image": RELAY_IMAGE,
        "command": ["python", "-I", "/opt/relay/ingress.py", json.dumps(forwards)],
        "networks": [LAB, EDGE],
        "ports": published,
        "sysctls": {"net.ipv4.ip_forward": "0"},  # it relays connections; it routes nothing
        "mem_limit": "128m",
        "pids_limit": 64,
        "cpus": 1.0,
    }


def _agent(folder: Path, mode: str, network: str) -> dict[str, Any]:
    desk = [f"{folder / 'desk' / name}:/lab/{name}:ro" for name in ("compose.yaml", ".env")]
    return {
        **_LOCKED,
        "image": AGENT_IMAGE,
        "hostname": mode,
        "working_dir": "/lab",
        "networks": [network],
        "volumes": [*desk, f"{folder / 'guard' / mode}:/run/guard:ro"],
        "tmpfs": ["/lab:size=64m,mode=755", "/tmp:size=64m,mode=1777", "/root:size=16m,mode=700"],  # noqa: S108
        "mem_limit": "512m",
        "pids_limit": 256,
        "cpus": 1.0,
        "ulimits": {"core": 0},
    }


def _observer(stack: Stack, record: LabRecord, folder: Path) -> dict[str, Any]:
    """Where an operator may only look: the names of the members lead to the reader."""
    reader = _reader_address(record)
    hosts = [f"{name}:{reader}" for name in stack.readable]
    return {**_agent(folder, "observe", VIEW), "profiles": ["observe"], "extra_hosts": hosts}


def _reader(stack: Stack, record: LabRecord) -> dict[str, Any]:
    routes = {name: stack.entries[name] for name in stack.readable}
    return {
        **_LOCKED,
        "image": RELAY_IMAGE,
        "profiles": ["observe"],
        "command": ["python", "-I", "/opt/relay/reader.py", json.dumps(routes)],
        "networks": {LAB: {}, VIEW: {"ipv4_address": _reader_address(record)}},
        "sysctls": {"net.ipv4.ip_forward": "0"},
        "mem_limit": "128m",
        "pids_limit": 64,
        "cpus": 0.5,
    }


def _reader_address(record: LabRecord) -> str:
    """Its fixed address in the network of whoever may only look."""
    return str(IPv4Network(record.subnets[VIEW])[4])
