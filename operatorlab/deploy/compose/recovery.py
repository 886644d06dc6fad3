"""After the Docker daemon was away: what ran before runs again. What was broken before stays broken.

A daemon that stops ends every container. Whatever ended after it was last heard of, it has taken down
itself; whatever ended before then was a fault, an operator's deed or trouble of the lab's own.
"""

from __future__ import annotations

from datetime import datetime

from operatorlab.deploy.compose.containers import Containers
from operatorlab.deploy.compose.engine import Engine
from operatorlab.errors import DockerTrouble

_SLACK_S = 0.5
"""The daemon stops answering a moment before it ends containers; its clock and ours are one."""


class Recovery:
    """Watches over the daemon of one lab. `services` are in the order in which they start."""

    def __init__(self, engine: Engine, containers: Containers, services: tuple[str, ...]) -> None:
        self._engine = engine
        self._containers = containers
        self._services = services
        self._heard_before: float | None = None
        """When the daemon that is away was last heard of."""

    async def trouble(self) -> str:
        """Why the daemon cannot be asked, or that its lab is being brought back; empty if all is as it should be."""
        heard = self._engine.last_contact
        away = await self._engine.ping()
        if away:
            if self._heard_before is None:
                self._heard_before = heard
            return away
        if self._heard_before is not None:
            since = self._heard_before - _SLACK_S
            try:
                await self._bring_back(since)
            except DockerTrouble as trouble:  # it is away again, or not quite there yet
                return str(trouble.what)
            self._heard_before = None
            return "the Docker daemon was away; what it ended starts again"
        return ""

    async def _bring_back(self, since: float) -> None:
        for service in self._services:
            container = await self._containers.find(service)
            if container is not None and container.status == "exited":
                found = await self._containers.inspect(service)
                if found is not None and _seconds(found["State"]["FinishedAt"]) >= since:
                    await self._containers.start(service)


def _seconds(stamp: str) -> float:
    """Docker's time stamp as seconds since the epoch; it tells nanoseconds, of which Python reads six digits."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
