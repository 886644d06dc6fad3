"""The limit of one key is raised a thousandfold through the management API, as by a slip of the hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import httpx
from redis.asyncio import Redis

from operatorlab.errors import OperatorLabError, TimedOut, UnknownName
from operatorlab.subject import Deployment, Fault, FaultKind, GroundTruth, Json, MemberState, Subject
from subjects.ratelimiter.limits import CANARY, DECLARED
from subjects.ratelimiter.service import scripts

_FACTOR = 1000
_WITHIN_S = 2.0


class LimitMisconfigured(Fault):
    name = "limit_misconfigured"
    summary = "a key's limit is raised a thousandfold by the management API"
    kind = FaultKind.MISCONFIGURATION
    expected = ("ghost_allowing",)

    @classmethod
    def targets(cls, subject: Subject) -> tuple[str, ...]:
        """The keys with a declared limit; clients' before the observer's own."""
        return tuple(sorted(DECLARED, key=lambda key: key == CANARY))

    def truth(self) -> GroundTruth:
        """Every process is well; an override in Redis says something else than what was declared."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"an override raised the limit of {self.target} from {DECLARED[self.target]} to {self._raised}",
            causal_path=(
                f"the limit of {self.target} was set to {self._raised} through the management API",
                "the override lies in Redis and holds on every node",
                f"{self.target} is allowed more than was declared",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Raise it through the first node that will; the memo keeps the override there was."""
        if self.target not in DECLARED:
            raise UnknownName("key with a declared limit", self.target, DECLARED)
        async with _redis(deployment) as redis:
            old = await cast("Any", redis.hget(scripts.LIMITS, self.target))
        node = await self._put(deployment)
        return {"old": old, "set": self._raised, "through": node}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether an override above the declared limit is in force. Redis keeps none over a restart."""
        if await deployment.state("redis") is not MemberState.RUNNING:
            return False
        async with _redis(deployment) as redis:
            override = await cast("Any", redis.hget(scripts.LIMITS, self.target))
        return override is not None and int(override) > DECLARED[self.target]

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Put back what was there, in Redis itself: no node need be alive for it."""
        if await deployment.state("redis") is MemberState.STOPPED:
            return
        async with _redis(deployment) as redis:
            if (old := memo.get("old")) is None:
                await cast("Any", redis.hdel(scripts.LIMITS, self.target))
            else:
                await cast("Any", redis.hset(scripts.LIMITS, self.target, str(old)))

    @property
    def _raised(self) -> int:
        return DECLARED[self.target] * _FACTOR

    async def _put(self, deployment: Deployment) -> str:
        """The node through which the limit was set."""
        nodes = ("node-1", "node-2", "node-3")
        async with httpx.AsyncClient(timeout=_WITHIN_S, trust_env=False) as client:
            for node in nodes:
                if await deployment.state(node) is not MemberState.RUNNING:
                    continue
                host, port = deployment.address(node)
                answer = await client.put(
                    f"http://{host}:{port}/api/limits/{self.target}", json={"limit": self._raised}
                )
                answer.raise_for_status()
                return node
        raise OperatorLabError("no node is running that could set a limit", next_step="operatorlab status")


@contextlib.asynccontextmanager
async def _redis(deployment: Deployment) -> AsyncIterator[Redis]:
    """Redis itself, past the links; TimedOut if it does not answer."""
    host, port = deployment.address("redis")
    async with Redis(host=host, port=port, decode_responses=True, protocol=2, driver_info=None) as redis:
        try:
            async with asyncio.timeout(_WITHIN_S):
                yield redis
        except TimeoutError as late:
            raise TimedOut(f"Redis did not answer within {_WITHIN_S:g} s", cause="it is frozen or overloaded") from late
