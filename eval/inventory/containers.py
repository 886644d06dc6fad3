"""What stands in a lab of containers: each container of the system, how it is made, what runs in it, and its files.

Root file systems cannot be written; what a container writes lies on a tmpfs, so files are those of its tmpfs mounts.
They can be read of a container that runs; of one that does not, a tmpfs is gone. The harness's own containers, the
operator's among them, are no part of the system.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import docker
from docker.errors import APIError
from docker.models.containers import Container

from eval.evidence import Item
from operatorlab.deploy.compose import ComposeDeployment, freshness
from operatorlab.deploy.compose.containers import SERVICE, label
from operatorlab.deploy.compose.stack import HARNESS, PART
from operatorlab.errors import DockerTrouble

_PS = "-eo pid,sid,args"
_PASSING_S = 0.2
_LONGEST_VALUE = 80
_MOST_FILES = 500
_HASHES = ("find", "-xdev", "-type", "f", "-exec", "sha256sum", "--", "{}", "+")


class _Seen(NamedTuple):
    """What Docker tells of one container."""

    making: freshness.Made
    state: Mapping[str, Any]
    health: tuple[str, ...]
    processes: tuple[tuple[int, int, str], ...]


async def standing(deployment: ComposeDeployment) -> dict[str, Item]:
    """Containers, what of them is set, what runs in them besides, and their files, by name."""
    listed = [one for one in await deployment.containers.all() if label(one, PART) != HARNESS]
    containers = freshness.named(listed)
    seen = await deployment.engine(lambda client: _look(client, containers))
    owners = _owners(deployment)
    files = await asyncio.gather(
        *(_files(deployment, name, owners[name], one) for name, one in seen.items() if name in owners)
    )
    items: dict[str, Item] = {}
    for name, one in seen.items():
        known = label(containers[name], SERVICE) == name
        items |= _items(name if known else str(containers[name].name), owners.get(name, ""), one, known=known)
    for found in files:
        items |= found
    return items


def _owners(deployment: ComposeDeployment) -> dict[str, str]:
    """The component that each service of a member or a link belongs to."""
    links = {link.service: link.source for link in deployment.stack.links}
    return {**{member: member for member in deployment.stack.members}, **links}


def _look(client: docker.DockerClient, containers: Mapping[str, Container]) -> dict[str, _Seen]:
    found = {}
    for name, (making, inspected) in freshness.inspect(client, containers).items():
        state = {**inspected["State"], "Id": inspected["Id"]}
        health = _said((inspected["Config"].get("Healthcheck") or {}).get("Test") or ())
        found[name] = _lasting(client, _Seen(making, state, health, tuple(_running(client, state))))
    return found


def _lasting(client: docker.DockerClient, seen: _Seen) -> _Seen:
    """Without what is only passing: a health check that begins or ends shows for a moment as something else."""
    if not any(_strays(seen)):
        return seen
    time.sleep(_PASSING_S)
    known = {pid for pid, *_ in seen.processes}
    return seen._replace(processes=tuple(one for one in _running(client, seen.state) if one[0] in known))


def _said(test: Any) -> tuple[str, ...]:
    """The command of a health check as a list of processes shows it; nothing where there is none."""
    kind, *words = test or ("NONE",)
    shell = ["/bin/sh", "-c"] if kind == "CMD-SHELL" else []
    return () if kind == "NONE" else (" ".join([*shell, *words]),)


def _running(client: docker.DockerClient, state: Mapping[str, Any]) -> Iterator[tuple[int, int, str]]:
    """Pid, session and command line of what runs in a container; nothing where it does not run."""
    if not state["Running"]:
        return
    try:
        told = client.api.top(state["Id"], _PS)
    except APIError:  # it ended meanwhile
        return
    for pid, session, arguments in told["Processes"] or ():
        yield int(pid), int(session), str(arguments)


def _items(name: str, owner: str, seen: _Seen, *, known: bool) -> dict[str, Item]:
    """Of one container; one that no service has is somebody's own."""
    what = f"process/{name}" if known else f"stray/container {name}"
    items = {what: Item(owner=owner, value=_standing(seen.state))}
    for setting, value in _settings(seen.making) if known else ():
        items[f"container/{name}/{setting}"] = Item(owner=owner, value=value)
    for arguments, count in Counter(_strays(seen)).items():
        items[f"stray/{name}: {arguments[:200]}"] = Item(owner=owner, value=str(count))
    return items


def _standing(state: Mapping[str, Any]) -> str:
    """How a container stands and which start of which container it is: another is another process."""
    if not state["Running"]:
        return "stopped"
    return f"{'paused' if state['Paused'] else 'running'} {state['Id'][:12]}@{state['StartedAt']}"


def _settings(making: freshness.Made) -> Iterator[tuple[str, str]]:
    """How a container is made, setting by setting; what says nothing is left out, as Docker has many names for it."""
    for section, held in making.items():
        for name, value in held.items() if isinstance(held, Mapping) else [("", held)]:
            if value not in (None, "", 0, False, [], {}) or section == "networks":
                yield f"{section}.{name}".rstrip("."), _short(value)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST_VALUE else sha256(text.encode()).hexdigest()[:16]


def _strays(seen: _Seen) -> Iterator[str]:
    """The command lines of what was started in a container besides its own program and its health checks.

    Whatever is run in a container gets a session of its own, and keeps it when its parent ends.
    """
    own = {session for pid, session, _ in seen.processes if pid == seen.state["Pid"]}
    own |= {session for _, session, arguments in seen.processes if arguments in seen.health}
    for _, session, arguments in seen.processes:
        if session not in own and "<defunct>" not in arguments:
            yield arguments


async def _files(deployment: ComposeDeployment, service: str, owner: str, seen: _Seen) -> dict[str, Item]:
    """The files on the tmpfs mounts of a service's container; none where it does not run."""
    mounts = sorted(seen.making["host"].get("Tmpfs") or {})
    if not seen.state["Running"] or seen.state["Paused"] or not mounts:
        return {}
    find, *rest = _HASHES
    try:
        ran = await deployment.containers.run(service, [find, *mounts, *rest])
    except DockerTrouble as trouble:
        return {f"file/{service}": Item(owner=owner, value=f"cannot be read: {trouble.what:.200}")}
    lines = (line.split(maxsplit=1) for line in ran.output.splitlines()[:_MOST_FILES])
    found = ((_path(words[1]), words[0]) for words in lines if len(words) == 2 and len(words[0]) == 64)
    return {f"file/{service}{path}": Item(owner=owner, value=_content(path, value)) for path, value in found}


def _path(path: str) -> str:
    """What a file is called whatever number it has: what is appended to goes on in the next one."""
    return re.sub(r"\d+(?=\.)", "N", path) if _is_data(path) else path


def _content(path: str, hashed: str) -> str:
    """What stands for the content of a file: of what the program itself keeps, that there is one."""
    return "data" if _is_data(path) else hashed[:16]


def _is_data(path: str) -> bool:
    return "data" in PurePosixPath(path).parts
