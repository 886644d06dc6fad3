"""What an operator may see of the answers: filters forced on questions, and what came back looked through again."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from operatorlab.sandbox.guard.lab import Lab
from operatorlab.sandbox.guard.refusal import Refused, malformed
from operatorlab.sandbox.guard.strict import parse_object
from operatorlab.sandbox.guard.templates import Templates

# `before`, `since`, `ancestor` and `volume` are not among them: their answers tell whether others exist.
_CONTAINER_FILTERS = ("id", "name", "label", "status", "health", "exited", "network", "is-task")
_NETWORK_FILTERS = ("id", "name", "label", "driver", "scope", "type", "dangling")
_EVENT_FILTERS = ("container", "event", "label", "type", "service")
EVENTS = (
    *("create", "start", "restart", "stop", "die", "kill", "oom", "pause", "unpause", "destroy", "rename", "update"),
    *("resize", "attach", "detach", "health_status"),
)
"""The events that are told. Those of execs are not: they would repeat commands of the lab's own keeper."""
_INFO = (
    *("ServerVersion", "OperatingSystem", "OSType", "Architecture", "NCPU", "MemTotal", "KernelVersion", "Driver"),
    *("LoggingDriver", "CgroupDriver", "CgroupVersion", "DefaultRuntime", "SystemTime", "MemoryLimit", "SwapLimit"),
)


def containers_query(query: Mapping[str, str], lab: Lab) -> dict[str, str]:
    """The parameters of a list of containers, narrowed to the lab's."""
    return _narrowed(query, _CONTAINER_FILTERS, lab)


def networks_query(query: Mapping[str, str], lab: Lab) -> dict[str, str]:
    """The parameters of a list of networks, narrowed to the lab's."""
    return _narrowed(query, _NETWORK_FILTERS, lab)


def events_query(query: Mapping[str, str], lab: Lab) -> dict[str, str]:
    """The parameters of a stream of events, narrowed to the lab's containers."""
    narrowed = _narrowed(query, _EVENT_FILTERS, lab)
    filters = json.loads(narrowed["filters"])
    asked = filters.get("event", list(EVENTS))
    filters["event"] = [name for name in asked if name in EVENTS] or ["none"]
    if filters.get("type", ["container"]) != ["container"]:
        filters["event"] = ["none"]
    return narrowed | {"filters": json.dumps({**filters, "type": ["container"]})}


def _narrowed(query: Mapping[str, str], known: Collection[str], lab: Lab) -> dict[str, str]:
    filters = read_filters(query.get("filters", ""))
    for name in filters:
        if name not in known:
            raise Refused(f"the filter {name[:50]} is not taken here")
    own = [f"{name}={value}" for name, value in lab.labels().items()]
    filters["label"] = [*filters.get("label", ()), *own]
    return {**query, "filters": json.dumps(filters)}


def read_filters(text: str) -> dict[str, list[str]]:
    """Docker's two ways to write filters, as lists."""
    filters: dict[str, list[str]] = {}
    for name, values in (parse_object(text) if text else {}).items():
        if isinstance(values, dict) and all(value is True for value in values.values()):
            filters[name] = list(values)
        elif isinstance(values, list) and all(isinstance(value, str) for value in values):
            filters[name] = values
        else:
            raise malformed("the filters are not a map of lists")
    return filters


def own_of(listed: Iterable[dict[str, Any]], lab: Lab) -> list[dict[str, Any]]:
    """Those of `listed` that are the lab's."""
    return [each for each in listed if lab.owns(each.get("Labels"))]


def network(found: dict[str, Any], own: Collection[str]) -> dict[str, Any]:
    """A network without the containers on it that are not among the ids `own`."""
    return {**found, "Containers": {id_: each for id_, each in (found.get("Containers") or {}).items() if id_ in own}}


def images(listed: Iterable[dict[str, Any]], templates: Templates) -> list[dict[str, Any]]:
    """The images that the lab came up with, under the names it uses."""
    wanted = templates.images()
    shown = []
    for image in listed:
        tags = [tag for tag in image.get("RepoTags") or () if tag in wanted]
        if tags or image["Id"] in wanted:
            shown.append({**image, "RepoTags": tags, "RepoDigests": [], "Containers": -1})
    return shown


def info(found: Mapping[str, Any], containers: Iterable[Mapping[str, Any]], templates: Templates) -> dict[str, Any]:
    """What clients need to know of the daemon, with the lab's own counts, and nothing of the machine or of others."""
    states = [each.get("State") for each in containers]
    counts = {
        "Containers": len(states),
        "ContainersRunning": states.count("running"),
        "ContainersPaused": states.count("paused"),
        "ContainersStopped": len(states) - states.count("running") - states.count("paused"),
        "Images": len({each.image_id for each in templates.services.values()}),
    }
    rest: dict[str, object] = {
        "ID": "",
        "Name": "lab",
        "Labels": [],
        "Warnings": None,
        "Swarm": {"LocalNodeState": "inactive"},
    }
    empty: dict[str, object] = {"Plugins": {}, "RegistryConfig": None, "Runtimes": {}, "SecurityOptions": []}
    return {name: found[name] for name in _INFO if name in found} | counts | rest | empty


VOLUMES: Mapping[str, object] = {"Volumes": [], "Warnings": None}
"""The list of volumes: a lab has none."""
