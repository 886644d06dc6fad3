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
from typing import TYPE_CHECKING, Any

from docker.errors import NotFound
from docker.models.containers import Container

from operatorlab.deploy.compose import bringing, freshness
from operatorlab.deploy.compose.containers import SERVICE, label
from operatorlab.deploy.compose.engine import socket_of
from operatorlab.deploy.compose.stack import HARNESS, PART
from operatorlab.deploy.system import write_text
from operatorlab.errors import StartFailed
from operatorlab.sandbox.guard import capture

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
        making = await self._look(await self._containers())
        await asyncio.to_thread(write_text, self._file, json.dumps(making, indent=1, sort_keys=True) + "\n")
        templates = await capture(self._lab.run_id, self._lab.run_id, socket_of(self._lab.engine.host))
        templates.write(self._lab.folder / bringing.TEMPLATES)

    def limits(self, service: str) -> dict[str, int]:
        """The limits that a service came up with, by the names of Docker's API."""
        return {name: int(self._before()[service]["host"][name]) for name in self.LIMITS}

    def other_environment(self, service: str, inspected: Mapping[str, Any] | None) -> dict[str, str]:
        """The variables that a container of a service has and the one it came up with had not."""
        now = frozenset(inspected["Config"]["Env"] or ()) if inspected else frozenset()
        others = now.difference(self._before()[service]["config"]["Env"] or ())
        return {name: value for name, _, value in (one.partition("=") for one in sorted(others))}

    async def differences(self) -> dict[str, str]:
        """What is not as it was, by service; empty if the lab is as new."""
        return freshness.differences(self._before(), await self._look(await self._containers()))

    async def renew(self) -> None:
        """Make the lab as new and wait until it is healthy; StartFailed names what is not as it was all the same."""
        before = self._before()
        containers = await self._containers()
        changed = freshness.differences(before, await self._look(containers))
        await asyncio.gather(*(self._end(one, again=name not in changed) for name, one in containers.items()))
        first, *others = self._lab.stack.stages
        for stage in (("agent", *first), *others):
            again = (containers[name] for name in stage if name in containers and name not in changed)
            await asyncio.gather(*map(self._start, again))
        if changed:
            await self._lab.compose("up", "-d", "--no-build", *sorted(changed.keys() & before.keys()))
        await bringing.healthy(self._lab.subject, self._lab)
        if left := await self.differences():
            told = "; ".join(f"{service}: {why}" for service, why in left.items())
            raise StartFailed(f"{self._lab.run_id} is not as new after its reset: {told}")

    async def _start(self, container: Container) -> None:
        await self._lab.engine(lambda _: container.start())

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

    async def _containers(self) -> dict[str, Container]:
        return freshness.named(one for one in await self._lab.containers.all() if _renewed(one))

    async def _look(self, containers: Mapping[str, Container]) -> dict[str, freshness.Made]:
        return await self._lab.engine(lambda client: freshness.look(client, containers))

    def _before(self) -> Mapping[str, freshness.Made]:
        found: Mapping[str, freshness.Made] = json.loads(self._file.read_text())
        return found

    @property
    def _file(self) -> Path:
        return self._lab.folder / _FILE


def _renewed(container: Container) -> bool:
    """Whether a reset concerns it: the system, and the operator's own; not the ways in, which keep nothing."""
    return label(container, PART) != HARNESS or label(container, SERVICE) == "agent"
