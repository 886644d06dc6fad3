"""One look at everything, past what may be broken: each part asks directly and has a deadline of its own."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace

from operatorlab.procedure import Printed, Step
from subjects.ratelimiter.procedure import reading
from subjects.ratelimiter.procedure.contained import Contained
from subjects.ratelimiter.procedure.picture import NodeSeen, Picture, ProbeSeen
from subjects.ratelimiter.procedure.supervised import Supervised
from subjects.ratelimiter.procedure.ways import Looking, Ways, at_once

_EITHER = f"{Supervised.listing} || [ $? -ne 127 ] || {{ {Contained.listing}; }}"
"""Docker is asked only where there is no supervisorctl: elsewhere it has nothing to do with the system."""


def look(why: str, ways: Ways | None) -> Generator[Step, Printed, tuple[Ways, Picture]]:
    """Take a picture, finding the ways to do so if there are none yet; `why` opens the first step's reasoning."""
    printed = yield Step(ways.listing if ways else _EITHER, f"{why} First: which processes run?")
    ways = ways or (Contained() if Contained.speaks(printed.output) else Supervised())
    picture = yield from ways.processes(printed.output)
    picture = yield from ways.files(picture)
    picture = yield from ways.redis(picture)
    picture = yield from _nodes(picture)
    picture = yield from ways.inside(picture)
    return ways, (yield from _limits(picture))


def _nodes(picture: Picture) -> Looking:
    if not picture.nodes:
        return picture
    answers = picture.redis is not None and picture.redis.answers
    printed = yield Step(
        ask(picture.nodes, ("health", "ready", "api/config")),
        f"Redis {'answers PONG' if answers else 'does not answer'}. Which nodes live (/health), which can reach Redis "
        "through their links (/ready), and what were they told when they started (/api/config)?",
    )
    seen = reading.probes(printed.output)
    nodes = tuple(
        replace(
            node,
            health=seen.get((node.name, "health")),
            ready=seen.get((node.name, "ready")),
            told=reading.json_object(_body(seen, node.name, "api/config")) or {},
        )
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
    told = {node.name: reading.limits_of(node.name, _body(answers, node.name, "api/limits")) for node in ready}
    unseen = tuple(f"{name}: its limits were not told" for name, one in told.items() if one is None)
    limits = tuple(one for one in told.values() if one)
    return replace(picture, limits=limits, unseen=(*picture.unseen, *unseen))


def _body(answers: Mapping[tuple[str, str], ProbeSeen], node: str, path: str) -> str:
    answer = answers.get((node, path))
    return answer.body if answer and answer.status == 200 else ""


def ask(nodes: Iterable[NodeSeen], paths: Iterable[str]) -> str:
    """A command that asks all nodes at once, so that a hung one does not hold up the rest."""
    return at_once(_asked(node, path) for node in nodes for path in paths)


def _asked(node: NodeSeen, path: str) -> str:
    url = shlex.quote(f"http://{node.host}:{node.port}/{path}")
    who = shlex.quote(f"{node.name}:{node.port} /{path}")
    return f'echo {who} "$(curl -s -m 2 -w " HTTP %{{http_code}}" {url})"'
