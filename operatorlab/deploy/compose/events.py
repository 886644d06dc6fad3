"""What the Docker daemon announces of the members of one lab: ends, pauses, starts. One connection that stays open."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from operatorlab.deploy.compose.containers import PROJECT, SERVICE
from operatorlab.deploy.compose.engine import Engine, socket_of
from operatorlab.errors import DockerTrouble
from operatorlab.subject import Change

_WHAT = {
    "die": "its container ended",
    "oom": "its container ran out of memory",
    "pause": "its container was paused",
    "unpause": "its container goes on",
    "start": "its container started",
}
_CONNECT_WITHIN_S = 5.0


async def changes(engine: Engine, project: str, members: Mapping[str, int]) -> AsyncIterator[Change]:
    """Every change of a member's container from now on. DockerTrouble when the daemon goes away, or says no."""
    filters = {"type": ["container"], "label": [f"{PROJECT}={project}"], "event": list(_WHAT)}
    transport = httpx.AsyncHTTPTransport(uds=str(socket_of(engine.host)))
    patience = httpx.Timeout(_CONNECT_WITHIN_S, read=None)  # it may have nothing to tell for hours
    try:
        async with (
            httpx.AsyncClient(transport=transport, timeout=patience) as client,
            client.stream("GET", "http://docker/events", params={"filters": json.dumps(filters)}) as told,
        ):
            told.raise_for_status()
            async for line in told.aiter_lines():
                if change := _change(json.loads(line), members):
                    yield change
    except (httpx.HTTPError, ValueError) as trouble:
        raise DockerTrouble(f"the Docker daemon does not tell what happens: {trouble!r:.200}") from trouble
    raise DockerTrouble("the Docker daemon went away")


def _change(event: Mapping[str, Any], members: Mapping[str, int]) -> Change | None:
    """What an event means; None if it is of no member."""
    member = str(event.get("Actor", {}).get("Attributes", {}).get(SERVICE, ""))
    what = _WHAT.get(str(event.get("Action")))
    return Change(member, what) if what and member in members else None
