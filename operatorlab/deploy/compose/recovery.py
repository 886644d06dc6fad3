"""After the Docker daemon was away: what ran before runs again. What was broken before stays broken.

A daemon that stops ends every container. Whatever ended after it was last heard of, it has taken down
itself; whatever ended before then was a fault, an operator's deed or trouble of the lab's own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from operatorlab.deploy.compose.containers import Containers
from operatorlab.deploy.compose.engine import Engine
from operatorlab.errors import DockerTrouble

_SLACK_S = 0.5
"""The daemon stops answering a moment before it ends containers; its clock and ours are one."""
_SETTLED_WITHIN_S = 20.0
"""What was started again has so long to pass its health check; what is not well after that is a trouble of its own."""
_SETTLING = "the Docker daemon was away; what it ended starts again"


class Recovery:
    """Watches over the daemon of one lab. `services` are in the order in which they start."""

    def __init__(self, engine: Engine, containers: Containers, services: tuple[str, ...]) -> None:
        self._engine = engine
        self._containers = containers
        self._services = services
        self._heard_before: float | None = None
        """When the daemon that is away was last heard of."""
        self._settled_by = 0.0
        """When what was started again counts as up whatever it says, by the monotonic clock."""

    async def trouble(self) -> str:
        """Why the daemon cannot be asked, or that its lab is being brought back; empty if all is as it should be."""
        heard = self._engine.last_contact
        away = await self._engine.ping()
        if away:
            if self._heard_before is None:
                self._heard_before = heard
            return away
        try:
            if self._heard_before is not None:
                await self._bring_back(self._heard_before - _SLACK_S)
                self._heard_before = None
                self._settled_by = time.monotonic() + _SETTLED_WITHIN_S
            settling = time.monotonic() < self._settled_by and await self._anything_starting()
        except DockerTrouble as trouble:  # it is away again, or not quite there yet
            return str(trouble.what)
        return _SETTLING if settling else ""

    async def _bring_back(self, since: float) -> None:
        for service in self._services:
            found = await self._containers.inspect(service)
            state = found["State"] if found is not None else {}
            if state.get("Status") == "exited" and _seconds(state["FinishedAt"]) >= since:
                await self._containers.start(service)

    async def _anything_starting(self) -> bool:
        found = [await self._containers.inspect(service) for service in self._services]
        return any(seen is not None and _is_starting(seen) for seen in found)


def _is_starting(inspected: Mapping[str, Any]) -> bool:
    """Whether it runs and its health check has neither passed nor failed for good since it was started."""
    state = inspected["State"]
    return bool(state["Running"]) and (state.get("Health") or {}).get("Status") == "starting"


def _seconds(stamp: str) -> float:
    """Docker's time stamp as seconds since the epoch; it tells nanoseconds, of which Python reads six digits."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
