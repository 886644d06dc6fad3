"""One look at everything, past what may be broken: each part asks directly and has a deadline of its own."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace

from operatorlab.procedure import Printed, Step
from subjects.ratelimiter.procedure import reading
from subjects.ratelimiter.procedure.picture import NodeSeen, Picture, ProbeSeen, ProcessSeen, RedisSeen

Looking = Generator[Step, Printed, Picture]

_INFO = "role|master_link_status|loading|used_memory|maxmemory|maxmemory_policy|connected_clients|maxclients"


def look(why: str) -> Looking:
    """Take a picture; `why` opens the first step's reasoning."""
    picture = yield from _processes(why)
    picture = yield from _files(picture)
    picture = yield from _redis(picture)
    picture = yield from _nodes(picture)
    return (yield from _limits(picture))


def _processes(why: str) -> Looking:
    printed = yield Step("supervisorctl status", f"{why} First: which processes run?")
    seen = reading.processes(printed.output)
    if not seen:
        return Picture(unseen=("the process table: supervisorctl printed no process",))
    pids = ",".join(str(one.pid) for one in seen.values() if one.pid)
    if not pids:
        return Picture(processes=seen)
    proc = " ".join(f"/proc/{pid}/status" for pid in pids.split(","))
    printed = yield Step(
        f"ps -o pid=,stat=,comm= -p {pids} || grep -H '^State' {proc}",
        f"{_standing(seen)}. A process that is listed as RUNNING may still be frozen: ask the kernel (T is stopped).",
    )
    return Picture(processes=reading.with_kernel_states(seen, printed.output))


def _standing(seen: Mapping[str, ProcessSeen]) -> str:
    not_running = [f"{one.name} is {one.state}" for one in seen.values() if not one.running]
    return ", ".join(not_running) if not_running else f"All {len(seen)} processes are listed as RUNNING"


def _files(picture: Picture) -> Looking:
    frozen = ", ".join(one.name for one in picture.processes.values() if one.frozen)
    printed = yield Step(
        "for f in etc/node-*.json etc/limits.json etc/redis.conf etc/links/*.json data/*/applied.json; "
        'do echo "=== $f"; head -c 2000 "$f"; echo; done',
        f"{frozen + ' frozen (T)' if frozen else 'No process is frozen'}. "
        "Read the configuration, the declared limits, the link rules and those in force: "
        "which ports to ask, and does a rule hold traffic back?",
    )
    files = reading.sections(printed.output)
    nodes = {path: reading.node(text) for path, text in files.items() if path.startswith("etc/node-")}
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


def _redis(picture: Picture) -> Looking:
    if picture.redis is None:
        return replace(picture, unseen=(*picture.unseen, "redis: its port is not in etc/redis.conf"))
    held = [link.name for link in picture.links if not link.passes]
    cli = f"timeout 2 redis-cli -p {picture.redis.port}"
    printed = yield Step(
        f"{cli} PING; {cli} INFO | grep -E '^({_INFO}):'",
        f"{', '.join(held) + ' holds traffic back by its rule' if held else 'The link rules let everything pass'}. "
        "Does Redis itself answer when asked directly, and is it a primary with memory left?",
    )
    reply = next((line.strip() for line in printed.output.splitlines() if line.strip()), "")
    seen = replace(picture.redis, reply=reply[:200], info=reading.info(printed.output))
    return replace(picture, redis=seen)


def _nodes(picture: Picture) -> Looking:
    if not picture.nodes:
        return picture
    answers = picture.redis is not None and picture.redis.answers
    printed = yield Step(
        ask(picture.nodes, ("health", "ready")),
        f"Redis {'answers PONG' if answers else 'does not answer'}. "
        "Which nodes live (/health), and which can reach Redis through their links (/ready)?",
    )
    seen = reading.probes(printed.output)
    nodes = tuple(
        replace(node, health=seen.get((node.name, "health")), ready=seen.get((node.name, "ready")))
        for node in picture.nodes
    )
    unseen = tuple(f"{node.name}: its probes printed nothing usable" for node in nodes if node.health is None)
    return replace(picture, nodes=nodes, unseen=(*picture.unseen, *unseen))


def _limits(picture: Picture) -> Looking:
    ready = [node for node in picture.nodes if node.is_ready]
    if not ready:
        return replace(picture, unseen=(*picture.unseen, "the limits in force: no node is ready to tell them"))
    names = ", ".join(node.name for node in ready)
    printed = yield Step(ask(ready, ("api/limits",)), f"Ready: {names}. Are the limits in force the declared ones?")
    answers = reading.probes(printed.output)
    told = {node.name: reading.limits_of(node.name, _body(answers, node.name)) for node in ready}
    unseen = tuple(f"{name}: its limits were not told" for name, one in told.items() if one is None)
    limits = tuple(one for one in told.values() if one)
    return replace(picture, limits=limits, unseen=(*picture.unseen, *unseen))


def _body(answers: Mapping[tuple[str, str], ProbeSeen], node: str) -> str:
    answer = answers.get((node, "api/limits"))
    return answer.body if answer and answer.status == 200 else ""


def ask(nodes: Iterable[NodeSeen], paths: Iterable[str]) -> str:
    """A command that asks all nodes at once, so that a hung one does not hold up the rest."""
    where = " ".join(f"{node.name}:{node.port}" for node in nodes)
    return (
        f"for n in {where}; do for p in {' '.join(paths)}; do "
        '(echo "$n /$p $(curl -s -m 2 -w " HTTP %{http_code}" http://127.0.0.1:${n#*:}/$p)") & done; done; wait'
    )
