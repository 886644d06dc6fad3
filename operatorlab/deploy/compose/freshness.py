"""Is a lab as new? What Docker knows of each container, compared with what it was right after it came up.

A container is as new if it is made as it was then and its root file system has no change; whatever else it
wrote lay on a tmpfs, which is gone with its last start. So a container that is made as it was needs only to be
started anew, and only one that is not must be made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import docker

from operatorlab.deploy.compose.containers import SERVICE, label

Made = Mapping[str, Any]
"""How a container is made: image, configuration, limits, networks. Plain JSON."""

_OF_COMPOSE = "com.docker.compose."
_HOST_CONFIG_VARIES = {"ContainerIDFile", "ConsoleSize"}


def made(inspected: Mapping[str, Any], written: Iterable[str]) -> Made:
    """How the container that Docker tells of is made, without what differs from one making to the next.

    `written` are the paths in its root file system that are not the image's: the places where something is mounted.
    """
    config, host, own = inspected["Config"], inspected["HostConfig"], inspected["Id"]
    return {
        "image": inspected["Image"],
        "config": {
            name: config.get(name)
            for name in ("Cmd", "Entrypoint", "Env", "User", "WorkingDir", "Healthcheck", "StopSignal", "ExposedPorts")
        },
        "written": sorted(written),
        "labels": {k: v for k, v in (config.get("Labels") or {}).items() if not k.startswith(_OF_COMPOSE)},
        "host": {name: value for name, value in host.items() if name not in _HOST_CONFIG_VARIES},
        "networks": {
            name: sorted(set(network.get("Aliases") or ()) - {own[:12]})
            for name, network in inspected["NetworkSettings"]["Networks"].items()
        },
    }


def differences(before: Mapping[str, Made], now: Mapping[str, Made]) -> dict[str, str]:
    """What is not as it was, by service: it is missing, it is new, or what of it changed."""
    found = dict.fromkeys(before.keys() - now.keys(), "it is missing")
    found |= dict.fromkeys(now.keys() - before.keys(), "it was not there")
    for service in before.keys() & now.keys():
        changed = _changed(before[service], now[service])
        if changed:
            found[service] = ", ".join(changed)
    return found


def look(client: docker.DockerClient, containers: Iterable[Any]) -> dict[str, Made]:
    """How the containers are made, by service."""
    making: dict[str, Made] = {}
    for container in containers:
        service = label(container, SERVICE) or container.id
        if service in making:
            service = container.id  # a second container of a service is one that was not there
        written = (change["Path"] for change in client.api.diff(container.id) or ())
        making[service] = made(client.api.inspect_container(container.id), written)
    return making


def _changed(before: Made, now: Made, where: str = "") -> list[str]:
    found = []
    for name in sorted(before.keys() | now.keys()):
        one, other = before.get(name), now.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += _changed(one, other, f"{where}{name}.")
        elif one != other:
            found.append(f"{where}{name} is {other!r:.80}, not {one!r:.80}")
    return found
