"""From a picture to what is wrong in it. Small checks, each blind to the others' findings.

A check names the *first* thing that is wrong on a path: while Redis is down, nodes that cannot reach it are
a consequence and no trouble of their own; the next look, after a repair, shows what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from operatorlab.subject import FaultKind
from subjects.ratelimiter.procedure.agreed import remake, settings
from subjects.ratelimiter.procedure.picture import (
    LinkSeen,
    NodeSeen,
    Picture,
    ProcessSeen,
    RedisSeen,
    Resource,
    obstacles,
)
from subjects.ratelimiter.procedure.reading import reason
from subjects.ratelimiter.procedure.trouble import Remedy, Trouble

_OURS = re.compile(r"redis|(link-)?node-\d+")  # what else may run here is not this procedure's to judge
_DEAD = {"STOPPED", "EXITED", "FATAL", "BACKOFF", "UNKNOWN", "CREATED", "DEAD", "MISSING"}
_REFUSALS = {
    "NOAUTH": FaultKind.CREDENTIALS,
    "WRONGPASS": FaultKind.CREDENTIALS,
    "READONLY": FaultKind.MISCONFIGURATION,
    "OOM": FaultKind.RESOURCE_MEMORY,
    "MISCONF": FaultKind.RESOURCE_DISK,
    "max number of clients": FaultKind.RESOURCE_CONNECTIONS,
}


def assess(picture: Picture) -> tuple[Trouble, ...]:
    """Everything that is wrong in `picture`, what others depend on first."""
    checks = (
        *(_configurations, settings, _shortages, _processes, _disconnected, _links),
        *(_volume, _redis, _silent, _unready, _overrides, _other_limits),
    )
    return tuple(trouble for check in checks for trouble in check(picture))


def _configurations(picture: Picture) -> Iterator[Trouble]:
    for node, path in picture.unusable.items():
        process = picture.process(node)
        mechanism = f"{node} cannot be started as it is configured: {path} has no usable name, port and redis_port"
        seen = f"{path} is not a usable configuration, and {node} is {process.state if process else 'not listed'}"
        yield Trouble(node, FaultKind.MISCONFIGURATION, mechanism, seen, Remedy.NONE, node)


def _ours(picture: Picture) -> list[ProcessSeen]:
    """Redis, the links, the nodes: what others depend on first."""
    links = {link.name for link in picture.links}
    ours = [one for one in picture.processes.values() if _OURS.fullmatch(one.name) and one.name not in picture.unusable]
    return sorted(ours, key=lambda one: (one.name != "redis", one.name not in links))


def _shortages(picture: Picture) -> Iterator[Trouble]:
    for one in _ours(picture):
        if not one.short_of:
            continue
        kind = FaultKind.RESOURCE_CPU if Resource.CPU in one.short_of else FaultKind.RESOURCE_MEMORY
        has = ", ".join(f"{share.has:g} of {share.declared:g} {unit.value}" for unit, share in one.short_of.items())
        mechanism = f"{one.name} has only {has} that it is declared to have"
        seen = f"the container of {one.name} is limited to {has} in compose.yaml"
        yield Trouble(picture.owner(one.name), kind, mechanism, seen, Remedy.LIFT, one.handle)


def _processes(picture: Picture) -> Iterator[Trouble]:
    for one in _ours(picture):
        if one.state in _DEAD:
            yield _dead(one, picture)
        elif one.frozen:
            yield _frozen(one, picture)


def _frozen(one: ProcessSeen, picture: Picture) -> Trouble:
    if one.state == "PAUSED":
        mechanism = f"{one.name} is frozen: its container was paused and answers nothing"
        seen = f"the container of {one.name} is listed as PAUSED"
    else:
        mechanism = f"{one.name} is frozen: its process {one.pid} was stopped by a signal and answers nothing"
        seen = f"{one.name} is listed as RUNNING, but the kernel shows process {one.pid} as stopped (T)"
    return Trouble(picture.owner(one.name), FaultKind.HANG, mechanism, seen, Remedy.THAW, one.handle)


def _dead(one: ProcessSeen, picture: Picture) -> Trouble:
    owner = picture.owner(one.name)
    kind = FaultKind.CRASH if owner == one.name else FaultKind.PARTITION
    if one.name == "redis":
        kind = FaultKind.DEPENDENCY_DOWN
    mechanism = f"the process of {one.name} ended and was not started again"
    seen = f"{one.name} is {one.state}" + (f" ({one.detail})" if one.detail else "")
    if one.state == "MISSING":
        gone = f"the container of {one.name} was removed"
        return Trouble(owner, kind, gone, f"{one.name} has no container", Remedy.CREATE, one.handle)
    if one.starved:
        kind, mechanism = FaultKind.RESOURCE_MEMORY, f"the kernel ended {one.name} for want of memory"
    return Trouble(owner, kind, mechanism, seen, Remedy.START, one.handle)


def _disconnected(picture: Picture) -> Iterator[Trouble]:
    for one in _ours(picture):
        if one.disconnected:
            mechanism = f"the container of {one.name} was taken off its network: nobody reaches it, and it nobody"
            seen = f"{one.name} is {one.state} and on no network"
            yield Trouble(picture.owner(one.name), FaultKind.PARTITION, mechanism, seen, Remedy.CONNECT, one.handle)


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


def _volume(picture: Picture) -> Iterator[Trouble]:
    redis = picture.redis
    if redis is None or not redis.out_of_space:
        return
    foreign = redis.volume.foreign if redis.volume else ()
    used = f"/data of redis is {redis.volume.used_percent} % full" if redis.volume else "Redis cannot write its file"
    blame = f", with {', '.join(foreign)} that Redis did not write" if foreign else ""
    mechanism = f"Redis takes no writes because its data volume has no space left: {used}{blame}"
    seen = f"{used}{blame}; aof_last_write_status is {redis.info.get('aof_last_write_status', 'not told')}"
    yield Trouble(
        "redis", FaultKind.RESOURCE_DISK, mechanism, seen, Remedy.FREE if foreign else Remedy.RESTART, "redis"
    )


def _redis(picture: Picture) -> Iterator[Trouble]:
    redis, process = picture.redis, picture.process("redis")
    if redis is None or (process and (not process.running or process.hampered)):
        return
    if not redis.answers and redis.inside == "PONG":
        mechanism = "Redis serves inside of its container and nobody outside: what it is sent is lost on the way"
        seen = f"PING gave {redis.reply or 'nothing within 2 s'} from here, and PONG inside of the container of redis"
        yield Trouble("redis", FaultKind.PARTITION, mechanism, seen, Remedy.RESTART, "redis")
    elif not redis.answers and not _served(picture, redis):
        said = redis.reply or "nothing within 2 s"
        mechanism = f"Redis runs but does not serve: to PING it said {said}"
        yield Trouble("redis", _refusal(said), mechanism, f"PING gave {said}", Remedy.NONE, "redis")
    elif redis.answers and redis.info.get("role", "master") != "master":
        mechanism = f"Redis is a replica (role {redis.info['role']}) and takes no writes"
        seen = f"INFO says role:{redis.info['role']}"
        yield Trouble("redis", FaultKind.MISCONFIGURATION, mechanism, seen, Remedy.NONE, "redis")


def _served(picture: Picture, redis: RedisSeen) -> bool:
    """Whether Redis is silent towards us alone, as to whoever may only look: a ready node has just written to it."""
    return not redis.reply and any(node.is_ready for node in picture.nodes)


def _refusal(said: str) -> FaultKind:
    return next((kind for sign, kind in _REFUSALS.items() if sign in said), FaultKind.HANG)


def _silent(picture: Picture) -> Iterator[Trouble]:
    for node in picture.nodes:
        process = picture.process(node.name)
        if not node.silent or (process and (process.state in _DEAD or process.hampered)):
            continue
        how = reason(node.health)
        if process and node.lives_inside:
            seen = f"{node.name} gave /health {how} from here, and 200 inside of its container"
            mechanism = f"{node.name} serves inside of its container and nobody outside: its packets are lost"
            yield Trouble(node.name, FaultKind.PARTITION, mechanism, seen, Remedy.RESTART, process.handle)
            continue
        seen = f"{node.name} gave /health {how}, and its process is {process.state if process else 'not listed'}"
        mechanism = f"{node.name} runs but does not answer its liveness probe ({how})"
        remedy = Remedy.RESTART if process else Remedy.NONE
        where = process.handle if process else node.name
        yield Trouble(node.name, FaultKind.HANG, mechanism, seen, remedy, where)


def _unready(picture: Picture) -> Iterator[Trouble]:
    if picture.redis is None or not picture.redis.serves:
        return
    for node in picture.nodes:
        process = picture.process(node.name)
        hampered = process is not None and process.hampered
        if node.lives and not node.is_ready and not hampered and _path_looks_well(picture, node):
            yield _unexplained(node, picture.link_of(node.name))


def _path_looks_well(picture: Picture, node: NodeSeen) -> bool:
    link = picture.link_of(node.name)
    process = picture.process(link.name) if link else None
    return (link is None or link.passes) and (process is None or (process.running and not process.hampered))


def _unexplained(node: NodeSeen, link: LinkSeen | None) -> Trouble:
    why = reason(node.ready)
    seen = f"/ready of {node.name} says {why}, while Redis answers and the link's rule lets everything pass"
    refused = next((kind for sign, kind in _REFUSALS.items() if sign in why), None)
    if refused:
        mechanism = f"Redis refuses the writes of {node.name}: {why}"
        return Trouble("redis", refused, mechanism, seen, Remedy.NONE, "redis")
    if link and link.carries is None and link.rule.get("listen") != node.redis_port:
        mechanism = f"{node.name} is configured to reach Redis at port {node.redis_port}, its link listens elsewhere"
        return Trouble(node.name, FaultKind.MISCONFIGURATION, mechanism, seen, Remedy.NONE, node.name)
    if link and link.carries is not None:
        return _lost(node, link, seen)
    mechanism = f"{node.name} does not get through to Redis ({why}) though Redis is well and its link's rule is open"
    remedy = Remedy.REREAD_LINK if link else Remedy.NONE
    return Trouble(node.name, FaultKind.PARTITION, mechanism, seen, remedy, link.name if link else node.name)


def _lost(node: NodeSeen, link: LinkSeen, seen: str) -> Trouble:
    """No rule explains it: something drops packets on one side of the link, where only a new start looks like new."""
    if node.redis_host != link.name:
        mechanism = f"{node.name} is configured to reach Redis at {node.redis_host}, not through {link.name}"
        return Trouble(node.name, FaultKind.MISCONFIGURATION, mechanism, seen, Remedy.NONE, node.name)
    side, told = (node.name, "PONG") if link.carries else (link.name, "no answer")
    between = f"{node.name} and {link.name}" if link.carries else f"{link.name} and Redis"
    mechanism = f"traffic between {between} is lost on the way, at {side}, though Redis is well and the link is open"
    seen = f"{seen}; PING through {link.name} from here gave {told}"
    return Trouble(node.name, FaultKind.PARTITION, mechanism, seen, Remedy.RESTART, side)


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
            yield Trouble(told.node, FaultKind.BAD_ROLLOUT, mechanism, seen, remake(told.node, picture), told.node)
