"""From a picture to what is wrong in it. Small checks, each blind to the others' findings.

A check names the *first* thing that is wrong on a path: while Redis is down, nodes that cannot reach it are
a consequence and no trouble of their own; the next look, after a repair, shows what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from operatorlab.subject import FaultKind
from subjects.ratelimiter.procedure.picture import LinkSeen, NodeSeen, Picture, ProcessSeen, obstacles
from subjects.ratelimiter.procedure.reading import reason

_OURS = re.compile(r"redis|(link-)?node-\d+")  # what else may run here is not this procedure's to judge
_DEAD = {"STOPPED", "EXITED", "FATAL", "BACKOFF", "UNKNOWN"}
_REFUSALS = {
    "NOAUTH": FaultKind.CREDENTIALS,
    "WRONGPASS": FaultKind.CREDENTIALS,
    "READONLY": FaultKind.MISCONFIGURATION,
    "OOM": FaultKind.RESOURCE_MEMORY,
    "MISCONF": FaultKind.RESOURCE_DISK,
    "max number of clients": FaultKind.RESOURCE_CONNECTIONS,
}


class Remedy(Enum):
    """What this procedure knows to do about a trouble."""

    START = "start the process"
    THAW = "let the frozen process go on"
    RESTART = "restart the process"
    OPEN_LINK = "let the link pass everything again"
    REREAD_LINK = "let the link read its rule again"
    CLEAR_LIMIT = "go back to the declared limit"
    NONE = "hand it to a person"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something wrong: whom to blame, what it is, what was seen, and what can be done about `where`."""

    component: str
    kind: FaultKind
    mechanism: str
    seen: str
    remedy: Remedy
    where: str

    @property
    def fingerprint(self) -> tuple[Remedy, str]:
        """What makes it the same trouble in two looks."""
        return self.remedy, self.where


def assess(picture: Picture) -> tuple[Trouble, ...]:
    """Everything that is wrong in `picture`, what others depend on first."""
    checks = (_configurations, _processes, _links, _redis, _silent, _unready, _overrides, _other_limits)
    return tuple(trouble for check in checks for trouble in check(picture))


def _configurations(picture: Picture) -> Iterator[Trouble]:
    for node, path in picture.unusable.items():
        process = picture.process(node)
        mechanism = f"{node} cannot be started as it is configured: {path} has no usable name, port and redis_port"
        seen = f"{path} is not a usable configuration, and {node} is {process.state if process else 'not listed'}"
        yield Trouble(node, FaultKind.MISCONFIGURATION, mechanism, seen, Remedy.NONE, node)


def _processes(picture: Picture) -> Iterator[Trouble]:
    links = {link.name for link in picture.links}
    for one in sorted(picture.processes.values(), key=lambda one: (one.name != "redis", one.name not in links)):
        if not _OURS.fullmatch(one.name) or one.name in picture.unusable:
            continue
        if one.state in _DEAD:
            yield _dead(one, picture)
        elif one.frozen:
            mechanism = f"{one.name} is frozen: its process {one.pid} was stopped by a signal and answers nothing"
            seen = f"{one.name} is listed as RUNNING, but the kernel shows process {one.pid} as stopped (T)"
            yield Trouble(picture.owner(one.name), FaultKind.HANG, mechanism, seen, Remedy.THAW, one.handle)


def _dead(one: ProcessSeen, picture: Picture) -> Trouble:
    owner = picture.owner(one.name)
    kind = FaultKind.CRASH if owner == one.name else FaultKind.PARTITION
    if one.name == "redis":
        kind = FaultKind.DEPENDENCY_DOWN
    mechanism = f"the process of {one.name} ended and was not started again"
    seen = f"{one.name} is {one.state}" + (f" ({one.detail})" if one.detail else "")
    return Trouble(owner, kind, mechanism, seen, Remedy.START, one.handle)


def _links(picture: Picture) -> Iterator[Trouble]:
    for link in picture.links:
        if link.passes:
            continue
        found = link.obstacles or obstacles(link.in_force)
        kind = FaultKind.PARTITION if "drop" in found else FaultKind.SLOW
        effect = "lets nothing pass" if kind is FaultKind.PARTITION else "delays everything"
        mechanism = f"the link between {link.source} and Redis {effect}: its rule says {found}"
        seen = (
            f"{link.path} says {found}"
            if link.obstacles
            else f"{link.name} says {found} is in force, its file does not"
        )
        remedy = Remedy.OPEN_LINK if link.obstacles else Remedy.REREAD_LINK
        yield Trouble(link.source, kind, mechanism, seen, remedy, link.name)


def _redis(picture: Picture) -> Iterator[Trouble]:
    redis, process = picture.redis, picture.process("redis")
    if redis is None or (process and (not process.running or process.frozen)):
        return
    if not redis.answers:
        said = redis.reply or "nothing within 2 s"
        mechanism = f"Redis runs but does not serve: to PING it said {said}"
        yield Trouble("redis", _refusal(said), mechanism, f"PING gave {said}", Remedy.NONE, "redis")
    elif redis.info.get("role", "master") != "master":
        mechanism = f"Redis is a replica (role {redis.info['role']}) and takes no writes"
        seen = f"INFO says role:{redis.info['role']}"
        yield Trouble("redis", FaultKind.MISCONFIGURATION, mechanism, seen, Remedy.NONE, "redis")


def _refusal(said: str) -> FaultKind:
    return next((kind for sign, kind in _REFUSALS.items() if sign in said), FaultKind.HANG)


def _silent(picture: Picture) -> Iterator[Trouble]:
    for node in picture.nodes:
        process = picture.process(node.name)
        if not node.silent or (process and (process.state in _DEAD or process.frozen)):
            continue
        how = reason(node.health)
        seen = f"{node.name} gave /health {how}, and its process is {process.state if process else 'not listed'}"
        mechanism = f"{node.name} runs but does not answer its liveness probe ({how})"
        remedy = Remedy.RESTART if process else Remedy.NONE
        where = process.handle if process else node.name
        yield Trouble(node.name, FaultKind.HANG, mechanism, seen, remedy, where)


def _unready(picture: Picture) -> Iterator[Trouble]:
    redis = picture.redis
    if redis is None or not redis.answers or redis.info.get("role", "master") != "master":
        return
    for node in picture.nodes:
        if node.lives and not node.is_ready and _path_looks_well(picture, node):
            yield _unexplained(node, picture.link_of(node.name))


def _path_looks_well(picture: Picture, node: NodeSeen) -> bool:
    link = picture.link_of(node.name)
    process = picture.process(link.name) if link else None
    return (link is None or link.passes) and (process is None or (process.running and not process.frozen))


def _unexplained(node: NodeSeen, link: LinkSeen | None) -> Trouble:
    why = reason(node.ready)
    seen = f"/ready of {node.name} says {why}, while Redis answers and the link's rule lets everything pass"
    refused = next((kind for sign, kind in _REFUSALS.items() if sign in why), None)
    if refused:
        mechanism = f"Redis refuses the writes of {node.name}: {why}"
        return Trouble("redis", refused, mechanism, seen, Remedy.NONE, "redis")
    if link and link.rule.get("listen") != node.redis_port:
        mechanism = f"{node.name} is configured to reach Redis at port {node.redis_port}, its link listens elsewhere"
        return Trouble(node.name, FaultKind.MISCONFIGURATION, mechanism, seen, Remedy.NONE, node.name)
    mechanism = f"{node.name} does not get through to Redis ({why}) though Redis is well and its link's rule is open"
    remedy = Remedy.REREAD_LINK if link else Remedy.NONE
    return Trouble(node.name, FaultKind.PARTITION, mechanism, seen, remedy, link.name if link else node.name)


def _overrides(picture: Picture) -> Iterator[Trouble]:
    agreed = picture.declared
    if agreed is None or not picture.limits:
        return
    for key, limit in picture.limits[0].overrides.items():
        right = agreed.declared.get(key, agreed.default)
        if limit != right:
            mechanism = f"the limit of {key!r} was set to {limit} at run time, {right} is declared"
            seen = f"/api/limits has the override {limit} for {key!r}, etc/limits.json says {right}"
            yield Trouble(key, FaultKind.MISCONFIGURATION, mechanism, seen, Remedy.CLEAR_LIMIT, key)


def _other_limits(picture: Picture) -> Iterator[Trouble]:
    agreed = picture.declared
    for told in picture.limits if agreed else ():
        if agreed and not told.same_declaration(agreed):
            mechanism = f"{told.node} runs with other declared limits than etc/limits.json has"
            seen = f"{told.node} says window {told.window_s} s, default {told.default}, {dict(told.declared)}"
            yield Trouble(told.node, FaultKind.BAD_ROLLOUT, mechanism, seen, Remedy.NONE, told.node)
