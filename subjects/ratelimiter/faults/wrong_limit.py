"""The limit of one key is set wrong through the management API, as by a slip of the hand: far too high, or to zero."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, cast

import httpx

from operatorlab.errors import OperatorLabError, UnknownName
from operatorlab.subject import Deployment, Fault, FaultKind, GroundTruth, Json, MemberState, Subject
from subjects.ratelimiter.limits import CANARY, DECLARED
from subjects.ratelimiter.members import NODES
from subjects.ratelimiter.past_links import WITHIN_S, asking
from subjects.ratelimiter.service import scripts

_FACTOR = 1000
_ROUNDS = 3


class _WrongLimit(Fault):
    """The limit of a key is not what was declared."""

    kind = FaultKind.MISCONFIGURATION

    @property
    @abstractmethod
    def wrong(self) -> int:
        """What the limit is set to."""

    @abstractmethod
    def is_wrong(self, limit: int) -> bool:
        """Whether a limit is wrong in the way of this fault."""

    @classmethod
    def targets(cls, subject: Subject) -> tuple[str, ...]:
        """The keys with a declared limit; clients' before the observer's own."""
        return tuple(sorted(DECLARED, key=lambda key: key == CANARY))

    def truth(self) -> GroundTruth:
        """Every process is well; an override in Redis says something else than what was declared."""
        more = "more" if self.wrong > DECLARED[self.target] else "less"
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"an override set the limit of {self.target} from {DECLARED[self.target]} to {self.wrong}",
            causal_path=(
                f"the limit of {self.target} was set to {self.wrong} through the management API",
                "the override lies in Redis and holds on every node",
                f"{self.target} is allowed {more} than was declared",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Set it through the first node that will; the memo keeps the override there was."""
        if self.target not in DECLARED:
            raise UnknownName("key with a declared limit", self.target, DECLARED)
        async with asking(deployment) as redis:
            old = await cast("Any", redis.hget(scripts.LIMITS, self.target))
        node = await self._put(deployment)
        return {"old": old, "set": self.wrong, "through": node}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether a wrong override is in force. Redis keeps none over a restart."""
        if await deployment.state("redis") is not MemberState.RUNNING:
            return False
        async with asking(deployment) as redis:
            override = await cast("Any", redis.hget(scripts.LIMITS, self.target))
        return override is not None and self.is_wrong(int(override))

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Put back what was there, in Redis itself: no node need be alive for it."""
        if await deployment.state("redis") is MemberState.STOPPED:
            return
        async with asking(deployment) as redis:
            if (old := memo.get("old")) is None:
                await cast("Any", redis.hdel(scripts.LIMITS, self.target))
            else:
                await cast("Any", redis.hset(scripts.LIMITS, self.target, str(old)))

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Go back to what was declared, by the management API of any node."""
        host, port = deployment.inside("node-1")
        return (f"curl -sf -m 2 --retry 3 -X DELETE http://{host}:{port}/api/limits/{self.target}",)

    async def _put(self, deployment: Deployment) -> str:
        """The node through which the limit was set. Where Redis is busy, each may refuse, and is asked again."""
        why: Exception | None = None
        async with httpx.AsyncClient(timeout=WITHIN_S, trust_env=False) as client:
            for node in NODES * _ROUNDS:
                if await deployment.state(node) is not MemberState.RUNNING:
                    continue
                host, port = deployment.address(node)
                try:
                    url = f"http://{host}:{port}/api/limits/{self.target}"
                    (await client.put(url, json={"limit": self.wrong})).raise_for_status()
                except httpx.HTTPError as refused:
                    why = refused
                else:
                    return node
        raise OperatorLabError("no node is running that would set a limit", next_step="operatorlab status") from why


class LimitMisconfigured(_WrongLimit):
    name = "limit_misconfigured"
    summary = "a key's limit is raised a thousandfold by the management API"
    expected = ("ghost_allowing",)

    @property
    def wrong(self) -> int:
        """A thousand times what was declared."""
        return DECLARED[self.target] * _FACTOR

    def is_wrong(self, limit: int) -> bool:
        """Whether it is above what was declared."""
        return limit > DECLARED[self.target]


class LimitZero(_WrongLimit):
    name = "limit_zero"
    summary = "a key's limit is set to zero by the management API: none of its requests gets through"
    expected = ("over_blocking",)

    @property
    def wrong(self) -> int:
        """Nothing gets through."""
        return 0

    def is_wrong(self, limit: int) -> bool:
        """Whether it is below what was declared."""
        return limit < DECLARED[self.target]
