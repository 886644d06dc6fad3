"""The smallest changes to a container: commands of Docker's client, or of compose where a container is missing."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from types import MappingProxyType

from subjects.ratelimiter.procedure.docker import COMPOSE
from subjects.ratelimiter.procedure.picture import Picture, Resource
from subjects.ratelimiter.procedure.trouble import Remedy, Trouble
from subjects.ratelimiter.procedure.ways import Command, clear_limit


def _container(service: str, picture: Picture) -> str:
    process = picture.process(service)
    return shlex.quote(process.container if process and process.container else service)


def _start(trouble: Trouble, picture: Picture) -> str:
    return f"docker start {_container(trouble.where, picture)}"


def _thaw(trouble: Trouble, picture: Picture) -> str:
    name, process = _container(trouble.where, picture), picture.process(trouble.where)
    if process and process.state == "PAUSED":
        return f"docker unpause {name}"
    children = f"timeout 5 docker exec {name} sh -c 'kill -CONT -1' 2>/dev/null"  # a container's init may be awake
    return f"docker kill -s CONT {name} && {{ {children}; true; }}"


def _restart(trouble: Trouble, picture: Picture) -> str:
    name, process = _container(trouble.where, picture), picture.process(trouble.where)
    thaw = f"docker unpause {name}; " if process and process.state == "PAUSED" else ""
    return f"{thaw}docker restart -t 2 {name}"


def _open_link(trouble: Trouble, picture: Picture) -> str:
    link = next(link for link in picture.links if link.name == trouble.where)
    name, rule = _container(link.name, picture), shlex.quote(json.dumps(link.opened))
    write = f"""docker exec {name} sh -c 'printf "%s\\n" "$1" >"$2"' sh {rule} {shlex.quote(link.path)}"""
    return f"{write} && docker kill -s HUP {name} || docker restart -t 2 {name}"


def _reread_link(trouble: Trouble, picture: Picture) -> str:
    return f"docker kill -s HUP {_container(trouble.where, picture)}"


def _create(trouble: Trouble, _: Picture) -> str:
    return f"{COMPOSE} up -d --no-deps {shlex.quote(trouble.where)}"


def _remake(trouble: Trouble, _: Picture) -> str:
    return f"{COMPOSE} up -d --no-deps --force-recreate {shlex.quote(trouble.where)}"


def _connect(trouble: Trouble, picture: Picture) -> str:
    networks = (network for one in picture.processes.values() for network in one.networks or ())
    network = next(networks, None)
    name = _container(trouble.where, picture)
    if network is None:  # nobody is on it to tell its name
        return f"docker rm -f {name} && {_create(trouble, picture)}"
    return f"docker network connect --alias {shlex.quote(trouble.where)} {shlex.quote(network)} {name}"


def _lift(trouble: Trouble, picture: Picture) -> str:
    process, options = picture.processes[trouble.where], []
    if cpu := process.short_of.get(Resource.CPU):
        options.append(f"--cpus {cpu.declared:g}")
    if memory := process.short_of.get(Resource.MEMORY):
        options.append(f"--memory {memory.declared:.0f} --memory-swap {2 * memory.declared:.0f}")
    return f"docker update {' '.join(options)} {_container(trouble.where, picture)}"


def _free(trouble: Trouble, picture: Picture) -> str:
    volume = picture.redis.volume if picture.redis else None
    files = " ".join(shlex.quote(path) for path in (volume.foreign if volume else ()))
    name = _container(trouble.where, picture)
    return f"docker exec {name} rm -f -- {files} || docker exec -u 0 {name} rm -f -- {files}"


COMMANDS: Mapping[Remedy, Command] = MappingProxyType(
    {
        Remedy.START: _start,
        Remedy.THAW: _thaw,
        Remedy.RESTART: _restart,
        Remedy.OPEN_LINK: _open_link,
        Remedy.REREAD_LINK: _reread_link,
        Remedy.CLEAR_LIMIT: clear_limit,
        Remedy.REMAKE: _remake,
        Remedy.CREATE: _create,
        Remedy.CONNECT: _connect,
        Remedy.LIFT: _lift,
        Remedy.FREE: _free,
    }
)
