"""After the Docker daemon was away: what ran before runs again. What was broken before stays broken.

A daemon that stops ends every container. Whatever ended after it was last heard of, it has taken down
itself; whatever ended before then was a fault, an operator's deed or trouble of the lab's own.
"""

from __future__ import annotations

import math
import time
from datetime import datetime

from operatorlab.deploy.compose.containers import Containers
from operatorlab.deploy.compose.engine import Engine
from operatorlab.errors import DockerTrouble

_SLACK_S = 0.5
"""The daemon stops answering a moment before it ends containers; its clock and ours are one."""
_SETTLED_WITHIN_S = 20.0
"""What was started again has so long to find its feet; only then is what is still not well a trouble of its own."""
_SETTLING = "the Docker daemon was away; what it ended starts again"


class Recovery:
    """Watches over the daemon of one lab. `services` are in the order in which they start."""

    def __init__(self, engine: Engine, containers: Containers, services: tuple[str, ...]) -> None:
        self._engine = engine
        self._containers = containers
        self._services = services
        self._heard_before: float | None = None
        """When the daemon that is away was last heard of."""
        self._settled_at = -math.inf
        """When what was started again counts as up, by the monotonic clock."""

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
            self._settled_at = time.monotonic() + _SETTLED_WITHIN_S
        return _SETTLING if time.monotonic() < self._settled_at else ""

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
