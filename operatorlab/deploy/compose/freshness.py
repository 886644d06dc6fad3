"""Is a lab as new? What Docker knows of each container, compared with what it was right after it came up.

A container is as new if it is made as it was then and its root file system has no change; whatever else it
wrote lay on a tmpfs, which is gone with its last start. So a container that is made as it was needs only to be
started anew, and only one that is not must be made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import docker
from docker.errors import NotFound
from docker.models.containers import Container

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


def named(containers: Iterable[Container]) -> dict[str, Container]:
    """The containers by service; a second one of a service, and one of none, by its own id."""
    found: dict[str, Container] = {}
    for container in sorted(containers, key=_first_is_the_service):
        service = label(container, SERVICE) or str(container.id)
        found[str(container.id) if service in found else service] = container
    return found


def _first_is_the_service(container: Container) -> tuple[bool, str, int]:
    """Compose runs a service in its container number 1; others were run once, or by somebody's scaling."""
    once = label(container, f"{_OF_COMPOSE}oneoff") == "True"
    return once, label(container, f"{_OF_COMPOSE}container-number") or "~", int(container.attrs.get("Created", 0))


def look(client: docker.DockerClient, containers: Mapping[str, Container]) -> dict[str, Made]:
    """How the containers are made, by the names that `named` gives them; one that goes meanwhile is not there."""
    return {name: making for name, (making, _) in inspect(client, containers).items()}


def inspect(
    client: docker.DockerClient, containers: Mapping[str, Container]
) -> dict[str, tuple[Made, Mapping[str, Any]]]:
    """The same, each with all that Docker tells of it."""
    found = {}
    for name, container in containers.items():
        with suppress(NotFound):
            inspected = client.api.inspect_container(str(container.id))
            written = (change["Path"] for change in client.api.diff(str(container.id)) or ())
            found[name] = made(inspected, written), inspected
    return found


def _changed(before: Made, now: Made, where: str = "") -> list[str]:
    found = []
    for name in sorted(before.keys() | now.keys()):
        one, other = before.get(name), now.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += _changed(one, other, f"{where}{name}.")
        elif isinstance(one, list) and isinstance(other, list):
            found += [f"{where}{name} has {item!r:.80}" for item in other if item not in one]
            found += [f"{where}{name} lacks {item!r:.80}" for item in one if item not in other]
            found += [f"{where}{name} is in another order"] if one != other and not found else []
        elif (one or None) != (other or None):  # none, an empty list and an empty object say the same to Docker
            found.append(f"{where}{name} is {other!r:.80}, not {one!r:.80}")
    return found
