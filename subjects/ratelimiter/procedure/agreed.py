"""What a node was told at its start, against what all were to be told.

What is agreed is what a node does that is told nothing else, and it is in the briefing. What others do proves nothing:
of a rollout that went half way, the one node that is right is the odd one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache

from operatorlab.subject import FaultKind
from subjects.ratelimiter.procedure.picture import NodeSeen, Picture
from subjects.ratelimiter.procedure.trouble import Remedy, Trouble
from subjects.ratelimiter.service.config import NodeConfig

_ITS_OWN = {"name", "host", "port", "redis_host", "redis_port"}


@cache
def agreed() -> Mapping[str, object]:
    """Every setting that is not a node's own, as it was agreed on."""
    return NodeConfig(name="any", port=1, redis_port=1).model_dump(mode="json", exclude=_ITS_OWN)


def settings(picture: Picture) -> Iterator[Trouble]:
    """Nodes that were started with what nobody agreed on."""
    for node in picture.nodes:
        wrong = {name: node.told[name] for name, right in agreed().items() if node.told.get(name, right) != right}
        if not wrong:
            continue
        said = ", ".join(f"{name} {json.dumps(value)[:80]}" for name, value in wrong.items())
        right = ", ".join(f"{name} {json.dumps(agreed()[name])}" for name in wrong)
        kind = FaultKind.BAD_ROLLOUT if "limits_file" in wrong else FaultKind.MISCONFIGURATION
        remedy = Remedy.RECONFIGURE if node.path else remake(node.name, picture)
        mechanism = f"{node.name} was started with {said}, where {right} is agreed"
        yield Trouble(node.name, kind, mechanism, f"/api/config of {node.name} says {said}", remedy, node.name)


def remake(node: str, picture: Picture) -> Remedy:
    """What helps a node that was told something wrong by no file that can be changed: a container as it is declared."""
    process = picture.process(node)
    return Remedy.REMAKE if process and process.container else Remedy.NONE


def corrected(node: NodeSeen, picture: Picture) -> dict[str, object]:
    """Its file with what is agreed in place of what is not; gone is what no other node's file says anything of."""
    elsewhere = {name for one in picture.nodes if one.name != node.name for name in one.file}
    rights = {name: agreed().get(name, value) for name, value in node.file.items()}
    return {name: right for name, right in rights.items() if right == node.file[name] or name in elsewhere}
