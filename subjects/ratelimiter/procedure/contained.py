"""The rate limiter as containers of one compose project: their configuration is inside of them, names are addresses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace

from operatorlab.procedure import Step
from subjects.ratelimiter.procedure import docker, reading
from subjects.ratelimiter.procedure.containing import COMMANDS
from subjects.ratelimiter.procedure.picture import LinkSeen, NodeSeen, Picture, ProcessSeen, RedisSeen
from subjects.ratelimiter.procedure.trouble import Remedy
from subjects.ratelimiter.procedure.ways import Command, Looking, at_once, frozen, held, standing

_NODE = re.compile(r"node-\d+")
_NODE_PORT, _REDIS_PORT = 8000, 6379
_IN_NODE = "for f in etc/{name}.json etc/limits.json; do echo; echo === $f; head -c 2000 $f; done"
_IN_LINK = (
    "for f in etc/links/{node}-redis.json data/{node}-redis/applied.json; do echo; echo === $f; head -c 2000 $f; done"
)
_IN_REDIS = "echo; echo === /data; df -P /data; find /data -type f -size +63k"
_INFO = "role|master_link_status|loading|used_memory|maxmemory|maxmemory_policy|connected_clients|maxclients"
_PERSISTENCE = "aof_last_write_status|rdb_last_bgsave_status"
_HEALTH = (
    "exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && timeout 2 head -n 1 <&3"
)


class Contained:
    """See `ways.Ways`."""

    listing = docker.LISTING
    commands: Mapping[Remedy, Command] = COMMANDS

    @staticmethod
    def speaks(printed: str) -> bool:
        """Whether the first step printed a list of containers."""
        return docker.HEADING in printed.splitlines()

    def processes(self, listed: str) -> Looking:
        picture = Picture(processes=docker.containers(listed))
        if not picture.processes:
            return replace(picture, unseen=("the containers: docker printed none of this project",))
        running = " ".join(shlex.quote(one.container) for one in picture.processes.values() if one.running)
        printed = yield Step(
            f"for c in {running}; do echo === $c; docker top $c aux; done; {docker.DECLARED}",
            f"{standing(picture)}. A process in a running container may still be frozen: ask the kernel (T is "
            "stopped). And what should there be, with how much CPU and memory?",
        )
        parts = reading.sections(printed.output)
        seen = docker.with_kernel_states(picture.processes, parts)
        return replace(picture, processes=docker.with_declared(seen, parts.get("declared", "")))

    def files(self, picture: Picture) -> Looking:
        printed = yield Step(
            _all_at_once(_reads(picture.processes.values())),
            f"{frozen(picture)}. Read the configuration, the declared limits, the link rules and those in force, and "
            "how full the volume of Redis is: does a rule hold traffic back, does anything lack room?",
        )
        files = reading.sections(printed.output)
        names = sorted(name for name in picture.processes if _NODE.fullmatch(name))
        told = {name: files.get(f"etc/{name}.json", "").strip() for name in names}
        nodes = {name: _node(name, text) for name, text in told.items()}
        links = tuple(_link(name, files) for name in names)
        unseen = () if nodes else ("node-*: there is no container of a node",)
        return replace(
            picture,
            nodes=tuple(node for node in nodes.values() if node),
            unusable={name: f"etc/{name}.json" for name, one in nodes.items() if one is None},
            links=links,
            redis=RedisSeen(_REDIS_PORT, volume=docker.volume(files.get("/data", ""))),
            declared=reading.limits_of("etc/limits.json", files.get("etc/limits.json", "")),
            unseen=(*picture.unseen, *unseen),
        )

    def redis(self, picture: Picture) -> Looking:
        cli, process = "timeout 2 redis-cli -h redis", picture.process("redis")
        links = " ".join(link.name for link in picture.links)
        inside = (
            f"docker exec {shlex.quote(process.container)} redis-cli PING" if process and process.running else "true"
        )
        printed = yield Step(
            f"{cli} PING; {cli} INFO | grep -E '^({_INFO}|{_PERSISTENCE}):'; echo inside=$(timeout 5 {inside} 2>&1); "
            f"for l in {links}; do echo through $l=$(timeout 2 redis-cli -h $l PING 2>&1) & done; wait",
            f"{held(picture)}. Does Redis itself answer when asked directly, from inside, and through each link?",
        )
        through = dict(re.findall(r"^through (\S+?)=(.*)$", printed.output, re.MULTILINE))
        inner = re.search(r"^inside=(.*)$", printed.output, re.MULTILINE)
        reply, info = reading.first_line(printed.output), reading.info(printed.output)
        return replace(
            picture,
            redis=replace(
                picture.redis or RedisSeen(_REDIS_PORT),
                reply="" if reply.startswith("inside=") else reply,
                info=info,
                inside=inner[1].strip() if inner else "",
            ),
            links=tuple(
                replace(link, carries=through[link.name].strip() == "PONG") if link.name in through else link
                for link in picture.links
            ),
        )

    def inside(self, picture: Picture) -> Looking:
        silent = [node for node in picture.nodes if node.silent and _should_answer(picture.process(node.name))]
        if not silent:
            return picture
        reads = {picture.processes[node.name].container: _HEALTH.format(port=node.port) for node in silent}
        printed = yield Step(
            _all_at_once({name: f"echo === {name}; {script}" for name, script in reads.items()}),
            f"{', '.join(node.name for node in silent)} gave no usable answer from here, and nothing shows why. "
            "And from inside of the container?",
        )
        parts = reading.sections(printed.output)
        lives = {node.name for node in silent if " 200" in parts.get(picture.processes[node.name].container, "")}
        nodes = (replace(node, lives_inside=node.name in lives) if node in silent else node for node in picture.nodes)
        return replace(picture, nodes=tuple(nodes))

    def log(self, name: str, picture: Picture) -> str:
        process = picture.process(name)
        return f"docker logs --tail 20 {shlex.quote(process.container if process else name)} 2>&1"


def _should_answer(process: ProcessSeen | None) -> bool:
    return process is not None and process.running and not process.hampered


def _reads(processes: Iterable[ProcessSeen]) -> dict[str, str]:
    """What to run inside of which container to read what it is told."""
    reads = {}
    for one in processes:
        node = one.name.removeprefix("link-")
        if not one.running or not (one.name == "redis" or _NODE.fullmatch(node)):
            continue
        script = _IN_REDIS if one.name == "redis" else _IN_NODE if node == one.name else _IN_LINK
        reads[one.container] = script.format(name=node, node=node)
    return reads


def _all_at_once(scripts: Mapping[str, str]) -> str:
    """Run each script in its container, all at the same time, and print what they say one after the other."""
    return at_once(
        f"timeout 10 docker exec {shlex.quote(container)} bash -c {shlex.quote(script)} 2>&1; echo"
        for container, script in scripts.items()
    )


def _node(name: str, text: str) -> NodeSeen | None:
    """A node from its configuration; one that could not be asked for it is taken to be as it is described."""
    link = f"link-{name}"
    if not text.startswith("{"):
        return NodeSeen(name, _NODE_PORT, _REDIS_PORT, "etc/limits.json", host=name, redis_host=link)
    node = reading.node(text)
    return replace(node, name=name, host=name) if node else None


def _link(node: str, files: Mapping[str, str]) -> LinkSeen:
    """The link of a node; without a rule where its container could not be asked for it."""
    path, applied = f"etc/links/{node}-redis.json", files.get(f"data/{node}-redis/applied.json", "")
    link = reading.link(path, files.get(path, ""), applied)
    return replace(link, name=f"link-{node}", source=node) if link else LinkSeen(f"link-{node}", node, path, {})
