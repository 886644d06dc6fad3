"""A process that is no node writes heartbeats into the registry, as if there were a fourth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import redis_cli
from subjects.ratelimiter.faults.on_client import RogueClient
from subjects.ratelimiter.past_links import asking
from subjects.ratelimiter.service import scripts

_GHOST = "node-4"
_EVERY_S = 0.5
_FACTS = json.dumps({"host": "127.0.0.1", "port": 8004, "pid": 4242, "started_at": 0})


class RegistryGhost(RogueClient):
    name = "registry_ghost"
    summary = "heartbeats of a node that does not exist are written into the registry, again and again"
    kind = FaultKind.DATA_CORRUPTION
    expected = ("registry_mismatch",)

    def argv(self, port: int) -> tuple[str, ...]:
        """It writes by the script that nodes write by."""
        return self.repeating(
            port, _EVERY_S, "EVAL", scripts.HEARTBEAT.replace("\n", " "), "1", scripts.NODES, _GHOST, _FACTS
        )

    def truth(self) -> GroundTruth:
        """Three nodes serve; the registry says four."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"a process writes heartbeats of {_GHOST}, which does not exist, into {scripts.NODES} in Redis",
            causal_path=(
                f"a client that is no node writes heartbeats of {_GHOST}",
                f"{scripts.NODES} has an entry of a node that does not exist",
                "whoever reads the registry takes it for a node of the system",
            ),
        )

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether its entry is there, or who writes it."""
        if await deployment.state(self.target) is not MemberState.RUNNING:
            return await self.runs(deployment)
        async with asking(deployment) as redis:
            written = await cast("Any", redis.hexists(scripts.NODES, _GHOST))
        return bool(written) or await self.runs(deployment)

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """End the writer first, then remove what it wrote."""
        await self.end(deployment)
        if await deployment.state(self.target) is MemberState.STOPPED:
            return
        async with asking(deployment) as redis:
            await cast("Any", redis.hdel(scripts.NODES, _GHOST))

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """End the writer, then remove what it wrote."""
        return (self.ending(deployment), redis_cli(deployment, "HDEL", scripts.NODES, _GHOST))
