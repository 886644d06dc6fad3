"""What faults by a client that nobody asked for have in common: a real process beside Redis, to be found and ended.

Redis lists it (CLIENT LIST), and so do `ps` and `docker top`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from operatorlab.subject import Deployment, FaultKind, Json
from subjects.ratelimiter.faults.on_process import StrayProcess
from subjects.ratelimiter.faults.on_redis import RedisFault


class RogueClient(StrayProcess, RedisFault):
    """A client of Redis that nobody asked for, and that does not end by itself while Redis runs."""

    kind = FaultKind.ROGUE_CLIENT

    @abstractmethod
    def argv(self, port: int) -> tuple[str, ...]:
        """Its command line, for a Redis that listens on `port` of the host it runs on."""

    def line(self, deployment: Deployment) -> tuple[str, ...]:
        """The same, for the Redis of this lab."""
        return self.argv(deployment.inside(self.target)[1])

    def repeating(self, port: int, every_s: float, *command: str) -> tuple[str, ...]:
        """The command line that sends Redis a command for ever. A connection that is closed on it is made again."""
        return ("redis-cli", "-p", str(port), "-r", "-1", "-i", f"{every_s:g}", *command)

    async def inject(self, deployment: Deployment) -> Mapping[str, Json]:
        """Start the client, and leave it running."""
        await self.begin(deployment)
        return {}

    async def active(self, deployment: Deployment, memo: Mapping[str, Json]) -> bool:
        """Whether the client is there; it ends where Redis does."""
        return await self.runs(deployment)

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """End the client; what it sent last is done with at once."""
        await self.end(deployment)

    def fix(self, deployment: Deployment) -> tuple[str, ...]:
        """Find the client by CLIENT LIST, which tells its last command, and by `ps`; and end it."""
        return (self.ending(deployment),)
