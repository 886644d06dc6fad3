"""Making a lab of containers as new, with no more work than that takes, and proving it.

How each container was made is written down when the lab came up. To renew, every container is started anew:
its root file system cannot be written, and the rest of what it wrote lay on a tmpfs that went with its end,
as did its network with every rule in it. Only one that is not made as it was is made again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import NotFound
from docker.models.containers import Container

from operatorlab.deploy.compose import bringing, freshness
from operatorlab.deploy.compose.containers import SERVICE, label
from operatorlab.deploy.compose.stack import HARNESS, PART
from operatorlab.deploy.system import write_text
from operatorlab.errors import StartFailed

if TYPE_CHECKING:
    from operatorlab.deploy.compose.deployment import ComposeDeployment

_FILE = "made.json"


class Renewal:
    """Renews one lab."""

    LIMITS = ("NanoCpus", "Memory", "MemorySwap")

    def __init__(self, deployment: ComposeDeployment) -> None:
        self._lab = deployment

    async def remember(self) -> None:
        """Write down how every container is made. For a lab that has just come up."""
        making = await self._look()
        await asyncio.to_thread(write_text, self._file, json.dumps(making, indent=1, sort_keys=True) + "\n")

    def limits(self, service: str) -> dict[str, int]:
        """The limits that a service came up with, by the names of Docker's API."""
        return {name: int(self._before()[service]["host"][name]) for name in self.LIMITS}

    async def differences(self) -> dict[str, str]:
        """What is not as it was, by service; empty if the lab is as new."""
        return freshness.differences(self._before(), await self._look())

    async def renew(self) -> None:
        """Make the lab as new and wait until it is healthy; StartFailed names what is not as it was all the same."""
        before = self._before()
        making = await self._look()
        changed = freshness.differences(before, making)
        containers = [one for one in await self._lab.containers.all() if _renewed(one)]
        await asyncio.gather(*(self._end(one, again=_name(one) not in changed) for one in containers))
        kept = {_name(one): one for one in containers if _name(one) not in changed}
        for stage in (("agent",), *self._lab.stack.stages):
            await asyncio.gather(*(self._lab.containers.start(service) for service in stage if service in kept))
        if changed:
            missing = sorted(set(changed) & set(before))
            await self._lab.compose("up", "-d", "--no-build", *missing)
        await bringing.healthy(self._lab.subject, self._lab)
        if left := await self.differences():
            told = "; ".join(f"{service}: {why}" for service, why in left.items())
            raise StartFailed(f"{self._lab.run_id} is not as new after its reset: {told}")

    async def _end(self, container: Container, *, again: bool) -> None:
        """End a container at once; remove one that cannot start again as it is."""

        def deed(_: object) -> None:
            try:
                if not again:
                    container.remove(force=True, v=True)
                    return
                if container.status == "paused":
                    container.unpause()
                if container.status in {"running", "paused", "restarting"}:
                    container.kill()
                    container.wait()
            except NotFound:  # an operator was faster
                return

        await self._lab.engine(deed)

    async def _look(self) -> dict[str, freshness.Made]:
        containers = [one for one in await self._lab.containers.all() if _renewed(one)]
        return await self._lab.engine(lambda client: freshness.look(client, containers))

    def _before(self) -> Mapping[str, freshness.Made]:
        found: Mapping[str, freshness.Made] = json.loads(self._file.read_text())
        return found

    @property
    def _file(self) -> Path:
        return self._lab.folder / _FILE


def _name(container: Container) -> str:
    return label(container, SERVICE) or str(container.id)


def _renewed(container: Container) -> bool:
    """Whether a reset concerns it: the system, and the operator's own; not the ways in, which keep nothing."""
    return label(container, PART) != HARNESS or _name(container) == "agent"
