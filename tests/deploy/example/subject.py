"""A tiny real subject: a store that counts and a front that reads it through a link."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from operatorlab.subject import (
    Blind,
    Blueprint,
    Deployment,
    Fault,
    FaultKind,
    Finding,
    GroundTruth,
    Invariant,
    Link,
    Member,
    MemberState,
    Node,
    NodeState,
    Observation,
    Process,
    Site,
    Subject,
    Violation,
)

from .server import ask

HERE = Path(__file__).parent


def down(history: Sequence[Observation], rule: Invariant) -> Iterable[Finding]:
    for node in history[-1].nodes:
        if node.state is not NodeState.UP:
            yield Violation(rule.name, node.name, f"{node.name} is {node.state}", rule.severity)


class Looking:
    def __init__(self, deployment: Deployment) -> None:
        self._ports = {name: deployment.address(name)[1] for name in ("store", "front")}

    async def observe(self) -> Observation:
        began = time.monotonic()
        nodes, blind = [], []
        for name, port in self._ports.items():
            path = "/read" if name == "front" else "/live"
            try:
                status, body = await ask(port, path, 1.5)
            except (OSError, TimeoutError) as trouble:
                nodes.append(Node(name, name, NodeState.DOWN, repr(trouble)))
                blind.append(Blind("answer", name, repr(trouble)))
            else:
                nodes.append(Node(name, name, NodeState.UP if status == 200 else NodeState.DEGRADED, body))
        spent = time.monotonic() - began
        return Observation(datetime.now(UTC), began, spent, tuple(nodes), blind=tuple(blind))


class StoreCrash(Fault):
    name = "store_crash"
    summary = "the store is killed"
    kind = FaultKind.CRASH
    expected = ("member_down",)

    @classmethod
    def targets(cls, subject: Subject) -> tuple[str, ...]:
        return ("store", "front")

    def truth(self) -> GroundTruth:
        return GroundTruth(self.target, self.kind, "the process was killed", (self.target,))

    async def inject(self, deployment: Deployment) -> Mapping[str, object]:
        await deployment.kill(self.target)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, object]) -> bool:
        return await deployment.state(self.target) is MemberState.STOPPED

    async def heal(self, deployment: Deployment, memo: Mapping[str, object]) -> None:
        await deployment.start(self.target)


class Partition(Fault):
    name = "store_partition"
    summary = "nothing passes between front and store"
    kind = FaultKind.PARTITION
    expected = ("member_down",)

    @classmethod
    def targets(cls, subject: Subject) -> tuple[str, ...]:
        return ("front",)

    def truth(self) -> GroundTruth:
        return GroundTruth("front", self.kind, "all packets to the store are dropped", ("store", "front"))

    async def inject(self, deployment: Deployment) -> Mapping[str, object]:
        await deployment.cut("front", "store")
        return {"link": ["front", "store"]}

    async def active(self, deployment: Deployment, memo: Mapping[str, object]) -> bool:
        return await deployment.is_cut("front", "store")

    async def heal(self, deployment: Deployment, memo: Mapping[str, object]) -> None:
        await deployment.mend("front", "store")


class Example(Subject):
    name = "example"
    title = "A counter behind a front"
    members = (Member("store", "store"), Member("front", "front"))
    ports = ("store", "front", "front-store")
    invariants = (Invariant("member_down", "Every member answers.", down),)
    faults = (StoreCrash, Partition)

    def blueprint(self, site: Site) -> Blueprint:
        port = site.ports
        store = {"greeting": "I am the store", "port": port["store"], "data": str(site.root / "data/store")}
        front = {"greeting": "I am the front", "port": port["front"], "store": port["front-store"]}
        run = (sys.executable, str(HERE / "server.py"))
        return Blueprint(
            processes=(
                Process("store", (*run, "etc/store.json")),
                Process("front", (*run, "etc/front.json"), env={"COLOUR": "50% red, 50% green"}, order=1),
            ),
            links=(Link("front", "store", listen="front-store", upstream="store"),),
            files={"etc/store.json": json.dumps(store), "etc/front.json": json.dumps(front)},
        )

    @asynccontextmanager
    async def observer(self, deployment: Deployment) -> AsyncIterator[Looking]:
        yield Looking(deployment)

    def briefing(self, deployment: Deployment) -> str:
        return f"A store and a front; the front answers on {deployment.address('front')}."
