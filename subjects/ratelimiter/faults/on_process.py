"""What faults have in common that leave a process running beside a member: it is found by its command line, and ended.

The command line is that of this lab alone: it names one of the lab's own ports.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from abc import abstractmethod

from operatorlab.errors import StartFailed
from operatorlab.subject import PROCESSES, Deployment, MemberState
from subjects.ratelimiter.faults.fixing import in_container
from subjects.ratelimiter.faults.on_member import MemberFault

_BEGUN_WITHIN_S = 5.0
_LEAVE = 'setsid "$@" </dev/null >/dev/null 2>&1 &'
_FIND = (
    r"""for p in /proc/[0-9]*; do [ "$(tr '\0' ' ' <$p/cmdline)" = "$1 " ] && echo ${p#/proc/}; done 2>/dev/null; :"""
)
_END = f"for one in $({_FIND}); do kill -KILL $one; done"


class StrayProcess(MemberFault):
    """A fault with a process that nobody asked for, and that does not end by itself."""

    @property
    def beside(self) -> str:
        """The member that it runs beside: in its container, if it has one."""
        return self.target

    @abstractmethod
    def line(self, deployment: Deployment) -> tuple[str, ...]:
        """Its command line."""

    async def begin(self, deployment: Deployment) -> None:
        """Start it, leave it running, and wait until it is what it will be. StartFailed if it does not stay."""
        await deployment.run(self.beside, "sh", "-c", _LEAVE, "sh", *self.line(deployment))
        try:
            async with asyncio.timeout(_BEGUN_WITHIN_S):
                while not await self.runs(deployment):  # a shell first becomes setsid, and that the client
                    continue
        except TimeoutError:
            raise StartFailed(f"the client of {self.name} did not start, or ended at once") from None

    async def runs(self, deployment: Deployment) -> bool:
        """Whether it is there. In a container that does not run, nothing is."""
        if deployment.kind != PROCESSES and await deployment.state(self.beside) is not MemberState.RUNNING:
            return False
        _, found = await deployment.run(self.beside, "sh", "-c", _FIND, "sh", " ".join(self.line(deployment)))
        return bool(found.strip())

    async def end(self, deployment: Deployment) -> None:
        """End it, however its target is; it does not end what is not there."""
        if deployment.kind != PROCESSES and await deployment.state(self.beside) is not MemberState.RUNNING:
            return
        await deployment.run(self.beside, "sh", "-c", _END, "sh", " ".join(self.line(deployment)))

    def ending(self, deployment: Deployment) -> str:
        """The command by which an operator ends it."""
        line = " ".join(self.line(deployment))
        if deployment.kind == PROCESSES:
            return f"pkill -KILL -x -f {shlex.quote(re.escape(line))}"
        return in_container(self.beside, "sh", "-c", _END, "sh", line)
