"""A node may open no more files: what it has open it keeps, and it can connect to nobody."""

from __future__ import annotations

from collections.abc import Mapping

from operatorlab.errors import OperatorLabError
from operatorlab.subject import PROCESSES, Deployment, FaultKind, GroundTruth, Json, MemberState
from subjects.ratelimiter.faults.fixing import restart
from subjects.ratelimiter.faults.on_member import MemberFault
from subjects.ratelimiter.past_links import asking

_FILES = 4
"""What every process has open from its start on: any more is one too many."""


class NodeFdExhaustion(MemberFault):
    name = "node_fd_exhaustion"
    summary = f"a node's limit of open files is lowered to {_FILES}, and its connections to Redis are closed"
    kind = FaultKind.RESOURCE_FDS
    # It loses Redis, cannot read a file for its metrics, and refuses whoever has no connection to it yet.
    expected = ("redis_disconnected", "observer_blind", "node_down")

    def truth(self) -> GroundTruth:
        """The process lives; the kernel gives it no more descriptors."""
        return GroundTruth(
            component=self.target,
            kind=self.kind,
            mechanism=f"the soft limit of open files (nofile) of {self.target} is {_FILES}: it can open nothing more",
            causal_path=(
                f"the limit of open files of {self.target} was lowered",
                f"connections of {self.target} to Redis were closed, and it can make no new ones (Too many open files)",
                f"{self.target} refuses requests with 503, and takes no new clients",
            ),
        )

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Lower the limit, and have Redis close what the node has open to it; the memo keeps the limit."""
        usual = await self._limit(deployment)
        await self._set(deployment, _FILES)
        async with asking(deployment) as redis:
            for client in await redis.client_list():
                if client["name"] == self.target:
                    await redis.client_kill_filter(_id=client["id"])
        return {"nofile": usual}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the limit of the process that runs is that low; one that was restarted has its own again."""
        if await deployment.state(self.target) is not MemberState.RUNNING:
            return False
        return await self._limit(deployment) <= _FILES

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Give it its limit back, and have it run."""
        await self.set_running(deployment)
        if memo and await self.active(deployment, memo):
            await self._set(deployment, int(str(memo["nofile"])))

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Start it anew: a new process has the limit that it is meant to have."""
        return (restart(deployment, self.target),)

    async def _limit(self, deployment: Deployment) -> int:
        return int(await self._prlimit(deployment, "--nofile", "--output", "SOFT", "--noheadings"))

    async def _set(self, deployment: Deployment, files: int) -> None:
        await self._prlimit(deployment, f"--nofile={files}:")

    async def _prlimit(self, deployment: Deployment, *options: str) -> str:
        """Ask or tell the kernel about the first process of the node."""
        pid = f"$(supervisorctl pid {self.target})" if deployment.kind == PROCESSES else "1"
        code, said = await deployment.run(self.target, "sh", "-c", f"""prlimit --pid {pid} "$@" """, "sh", *options)
        if code != 0:
            raise OperatorLabError(f"prlimit of {self.target} failed: {said.strip()}")
        return said
