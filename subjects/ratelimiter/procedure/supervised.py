"""The rate limiter as processes under supervisord: files in the working folder, ports on the loopback interface."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from operatorlab.procedure import Step
from subjects.ratelimiter.procedure import reading
from subjects.ratelimiter.procedure.agreed import corrected
from subjects.ratelimiter.procedure.picture import Picture, RedisSeen
from subjects.ratelimiter.procedure.trouble import Remedy, Trouble
from subjects.ratelimiter.procedure.ways import Command, Looking, clear_limit, frozen, held, standing

_INFO = "role|master_link_status|loading|used_memory|maxmemory|maxmemory_policy|connected_clients|maxclients"


class Supervised:
    """See `ways.Ways`."""

    listing = "supervisorctl status"

    def __init__(self) -> None:
        self.commands: Mapping[Remedy, Command] = MappingProxyType(
            {
                Remedy.START: lambda trouble, _: _control("start", trouble.where),
                Remedy.THAW: lambda trouble, _: _control("signal CONT", trouble.where),
                Remedy.RESTART: lambda trouble, _: _control("restart", trouble.where),
                Remedy.OPEN_LINK: _open_link,
                Remedy.REREAD_LINK: lambda trouble, picture: _reread(trouble.where, picture),
                Remedy.CLEAR_LIMIT: clear_limit,
                Remedy.RECONFIGURE: _reconfigure,
            }
        )

    def processes(self, listed: str) -> Looking:
        picture = Picture(processes=reading.processes(listed))
        if not picture.processes:
            return replace(picture, unseen=("the process table: supervisorctl printed no process",))
        pids = ",".join(str(one.pid) for one in picture.processes.values() if one.pid)
        if not pids:
            return picture
        proc = " ".join(f"/proc/{pid}/status" for pid in pids.split(","))
        printed = yield Step(
            f"ps -o pid=,stat=,comm= -p {pids} || grep -H '^State' {proc}",
            f"{standing(picture)}. "
            "A process that is listed as RUNNING may still be frozen: ask the kernel (T is stopped).",
        )
        return replace(picture, processes=reading.with_kernel_states(picture.processes, printed.output))

    def files(self, picture: Picture) -> Looking:
        printed = yield Step(
            "for f in etc/node-*.json etc/limits.json etc/redis.conf etc/links/*.json data/*/applied.json; "
            'do echo "=== $f"; head -c 2000 "$f"; echo; done',
            f"{frozen(picture)}. Read the configuration, the declared limits, the link rules and those in force: "
            "which ports to ask, and does a rule hold traffic back?",
        )
        files = reading.sections(printed.output)
        nodes = {path: reading.node(text, path) for path, text in files.items() if path.startswith("etc/node-")}
        links = {
            path: reading.link(path, text, files.get(f"data/{reading.stem(path)}/applied.json", ""))
            for path, text in files.items()
            if path.startswith("etc/links/")
        }
        port = re.search(r"^port (\d+)", files.get("etc/redis.conf", ""), re.MULTILINE)
        unseen = [f"{path}: not readable as the rule of a link" for path, one in links.items() if one is None]
        if not nodes:
            unseen.append("etc/node-*.json: no configuration of a node was found")
        return replace(
            picture,
            nodes=tuple(node for node in nodes.values() if node),
            unusable={reading.stem(path): path for path, one in nodes.items() if one is None},
            links=tuple(link for link in links.values() if link),
            redis=RedisSeen(int(port[1])) if port else None,
            declared=reading.limits_of("etc/limits.json", files.get("etc/limits.json", "")),
            unseen=(*picture.unseen, *unseen),
        )

    def redis(self, picture: Picture) -> Looking:
        if picture.redis is None:
            return replace(picture, unseen=(*picture.unseen, "redis: its port is not in etc/redis.conf"))
        cli = f"timeout 2 redis-cli -p {picture.redis.port}"
        printed = yield Step(
            f"{cli} PING; {cli} INFO | grep -E '^({_INFO}):'",
            f"{held(picture)}. Does Redis itself answer when asked directly, and is it a primary with memory left?",
        )
        reply, info = reading.first_line(printed.output), reading.info(printed.output)
        return replace(picture, redis=replace(picture.redis, reply=reply, info=info))

    def inside(self, picture: Picture) -> Looking:
        yield from ()  # processes have no inside
        return picture

    def log(self, name: str, picture: Picture) -> str:
        return f"tail -n 20 log/{shlex.quote(name)}*"


def _control(verb: str, handle: str) -> str:
    return f"supervisorctl {verb} {shlex.quote(handle)}"


def _reread(link: str, picture: Picture) -> str:
    process = picture.process(link)
    return _control("signal HUP", process.handle if process else link)


def _open_link(trouble: Trouble, picture: Picture) -> str:
    link = next(link for link in picture.links if link.name == trouble.where)
    return f"{_write(link.path, link.opened)} && {_reread(link.name, picture)}"


def _reconfigure(trouble: Trouble, picture: Picture) -> str:
    node = next(node for node in picture.nodes if node.name == trouble.where)
    process = picture.process(node.name)
    restart = _control("restart", process.handle if process else node.name)
    return f"{_write(node.path, corrected(node, picture))} && {restart}"


def _write(path: str, content: Mapping[str, object]) -> str:
    """Write a JSON file, all of it or nothing."""
    name, text = shlex.quote(path), shlex.quote(json.dumps(content, indent=2))
    return f"printf '%s\\n' {text} >{name}.new && mv {name}.new {name}"
