"""The rate limiter as a subject: three nodes that count in one Redis, each behind a link that can be cut.

The path of a request:

    clients ──▶ node-1 ──▶ link-node-1 ──┐
            ──▶ node-2 ──▶ link-node-2 ──┼──▶ redis
            ──▶ node-3 ──▶ link-node-3 ──┘
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from operatorlab.deploy.programs import find_program
from operatorlab.procedure import Procedure
from operatorlab.subject import Blueprint, Deployment, Holdings, Link, Member, Observer, Process, Site, Subject
from subjects.ratelimiter.briefing import brief
from subjects.ratelimiter.composites import COMPOSITES
from subjects.ratelimiter.faults import FAULTS
from subjects.ratelimiter.holdings import holdings_of
from subjects.ratelimiter.invariants import INVARIANTS
from subjects.ratelimiter.limits import DECLARED, DEFAULT, WINDOW_S
from subjects.ratelimiter.members import NODES, REDIS
from subjects.ratelimiter.observer import observe
from subjects.ratelimiter.procedure import diagnose

_PYTHON = (sys.executable, "-P", "-m")  # -P: what lies in the operator's folder is never imported

_REDIS_CONF = """\
# The counters live a second or two, so nothing is kept on disk.
bind 127.0.0.1
port {port}
protected-mode yes
dir ./data/redis
save ""
appendonly no
loglevel notice
"""


class RateLimiter(Subject):
    """A sliding-window rate limiter of three nodes and one Redis."""

    name = "ratelimiter"
    title = "Rate limiter: three nodes, one Redis"
    members = (*(Member(node, "node") for node in NODES), Member(REDIS, "redis"))
    ports = (*NODES, REDIS, *(f"link-{node}" for node in NODES))
    invariants = INVARIANTS
    faults = FAULTS
    composites = COMPOSITES
    runtime = ("subjects.ratelimiter.service", "subjects.ratelimiter.limits")
    loads = ("steady", "burst", "skewed", "full")
    stack = Path(__file__).parents[2] / "compose" / "ratelimiter"

    def blueprint(self, site: Site) -> Blueprint:
        """Redis first, the nodes after the links that lead to it."""
        redis = Process(REDIS, (str(find_program("redis-server")), "etc/redis.conf"), order=0)
        nodes = (
            Process(node, (*_PYTHON, "subjects.ratelimiter.service", f"etc/{node}.json"), order=10) for node in NODES
        )
        links = (Link(source=node, target=REDIS, listen=f"link-{node}", upstream=REDIS) for node in NODES)
        return Blueprint((redis, *nodes), tuple(links), _files(site.ports))

    def observer(self, deployment: Deployment) -> AbstractAsyncContextManager[Observer]:
        """Looks at every member past the links, and at the links through the nodes."""
        return observe(deployment)

    def briefing(self, deployment: Deployment) -> str:
        """Purpose, parts, addresses, tools and declared limits."""
        return brief(deployment.kind, {member.name: deployment.inside(member.name) for member in self.members})

    def workload(self, deployment: Deployment, load: str, seed: int, record: Path) -> tuple[str, ...]:
        """Clients in a process of their own; see `workload.py` for the profiles."""
        addresses = ",".join("{}:{}".format(*deployment.address(node)) for node in NODES)
        options = ("--nodes", addresses, "--load", load, "--seed", str(seed), "--record", str(record))
        return (*_PYTHON, "subjects.ratelimiter.workload", *options)

    async def holdings(self, deployment: Deployment) -> Holdings:
        """The settings of Redis, the limits set at run time, and how much was allowed so far."""
        return await holdings_of(deployment)

    def procedure(self) -> Procedure:
        """Looks, reasons and repairs without a model."""
        return diagnose


def _files(ports: Mapping[str, int]) -> dict[str, str]:
    limits = {"window_s": WINDOW_S, "default": DEFAULT, "limits": dict(DECLARED)}
    files = {"etc/limits.json": _pretty(limits), "etc/redis.conf": _REDIS_CONF.format(port=ports[REDIS])}
    return files | {f"etc/{node}.json": _pretty(_node(node, ports)) for node in NODES}


def _node(node: str, ports: Mapping[str, int]) -> dict[str, object]:
    return {
        "name": node,
        "host": "127.0.0.1",
        "port": ports[node],
        "redis_host": "127.0.0.1",
        "redis_port": ports[f"link-{node}"],
        "limits_file": "etc/limits.json",
        "on_redis_error": "deny",
        "redis_timeout_s": 0.25,
        "metrics": True,
        "heartbeat_s": 0.5,
    }


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
