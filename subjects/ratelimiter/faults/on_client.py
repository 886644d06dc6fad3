"""What faults by a client that nobody asked for have in common: a real process beside Redis, to be found and ended.

Redis lists it (CLIENT LIST), and so do `ps` and `docker top`. It is told by its whole command line, which names
the port of the lab's own Redis.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from abc import abstractmethod
from collections.abc import Mapping

from operatorlab.errors import StartFailed
from operatorlab.subject import PROCESSES, Deployment, FaultKind, Json, MemberState
from subjects.ratelimiter.faults.fixing import in_container
from subjects.ratelimiter.faults.on_redis import RedisFault

_BEGUN_WITHIN_S = 5.0
_LEAVE = 'setsid "$@" </dev/null >/dev/null 2>&1 &'
_FIND = (
    r"""for p in /proc/[0-9]*; do [ "$(tr '\0' ' ' <$p/cmdline)" = "$1 " ] && echo ${p#/proc/}; done 2>/dev/null; :"""
)
_END = f"for one in $({_FIND}); do kill -KILL $one; done"


class RogueClient(RedisFault):
    """A client of Redis that nobody asked for, and that does not end by itself while Redis runs."""

    kind = FaultKind.ROGUE_CLIENT

    @abstractmethod
    def argv(self, port: int) -> tuple[str, ...]:
        """Its command line, for a Redis that listens on `port` of the host it runs on."""

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

    async def begin(self, deployment: Deployment) -> None:
        """Start it, leave it running, and wait until it is what it will be. StartFailed if it does not stay."""
        await deployment.run(self.target, "sh", "-c", _LEAVE, "sh", *self._argv(deployment))
        try:
            async with asyncio.timeout(_BEGUN_WITHIN_S):
                while not await self.runs(deployment):  # a shell first becomes setsid, and that the client
                    continue
        except TimeoutError:
            raise StartFailed(f"the client of {self.name} did not start, or ended at once") from None

    async def runs(self, deployment: Deployment) -> bool:
        """Whether it is there. Where Redis is a container that does not run, nothing is in it."""
        if deployment.kind != PROCESSES and await deployment.state(self.target) is not MemberState.RUNNING:
            return False
        _, found = await deployment.run(self.target, "sh", "-c", _FIND, "sh", " ".join(self._argv(deployment)))
        return bool(found.strip())

    async def end(self, deployment: Deployment) -> None:
        """End it, wherever its Redis stands; it does not end what is not there."""
        if deployment.kind != PROCESSES and await deployment.state(self.target) is not MemberState.RUNNING:
            return
        await deployment.run(self.target, "sh", "-c", _END, "sh", " ".join(self._argv(deployment)))

    def ending(self, deployment: Deployment) -> str:
        """The command by which an operator ends it."""
        line = " ".join(self._argv(deployment))
        if deployment.kind == PROCESSES:
            return f"pkill -KILL -x -f {shlex.quote(re.escape(line))}"
        return in_container(self.target, "sh", "-c", _END, "sh", line)

    def _argv(self, deployment: Deployment) -> tuple[str, ...]:
        return self.argv(deployment.inside(self.target)[1])
