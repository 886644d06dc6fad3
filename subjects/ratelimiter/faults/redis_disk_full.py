"""The volume that Redis writes to is full: it answers, and takes no writes."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import in_container
from subjects.ratelimiter.faults.on_container import ContainerFault, containers
from subjects.ratelimiter.faults.on_redis import every_node

_BALLAST = "/data/dump.old"


class RedisDiskFull(ContainerFault):
    name = "redis_disk_full"
    summary = "the data volume of Redis is full, and Redis refuses to write"
    kind = FaultKind.RESOURCE_DISK
    expected = ("redis_disconnected",)
    role = "redis"

    def truth(self) -> GroundTruth:
        """Redis lives; its append-only file cannot grow."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"{_BALLAST} fills the data volume of Redis, whose append-only file cannot grow",
            causal_path=(
                "the data volume of Redis is full",
                "Redis cannot append to its file, and refuses every write (MISCONF)",
                "no node can count, and every node refuses requests with 503",
            ),
            spread=every_node(self.target),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Fill the volume to its last byte."""
        fill = f"cat /dev/zero >{_BALLAST} 2>/dev/null; test -s {_BALLAST}"
        await containers(deployment).run(self.target, "sh", "-c", fill)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the file is there."""
        if await deployment.state(self.target) is not MemberState.RUNNING:
            return False
        code, _ = await containers(deployment).run(self.target, "test", "-e", _BALLAST)
        return code == 0

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Have Redis run, and remove the file. Redis takes writes again by itself, within a second."""
        await self.set_running(deployment)
        await containers(deployment).run(self.target, "rm", "-f", _BALLAST)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Remove what fills the volume, and is not Redis' own."""
        return (in_container(self.target, "rm", "-f", _BALLAST),)
