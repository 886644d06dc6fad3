"""What of a lab must be as it was once a fault is undone: files, settings, processes, paths. Counters differ."""

from pathlib import Path
from typing import Any

from operatorlab.deploy.kin import kin
from operatorlab.subject import COMPOSE
from subjects.ratelimiter.past_links import asking
from subjects.ratelimiter.service import scripts

PASSING = ("sh -c for p", "tr ", "grep ", "runc ", "bash -c exec 3<>", "redis-cli ping", "/bin/sh -c [", "timeout ")
MEMBERS = ("node-1", "node-2", "node-3", "redis")


async def picture(lab) -> dict[str, Any]:
    """The state of the lab in words that can be compared."""
    deployment = lab.deployment
    states = {member: str(await deployment.state(member)) for member in MEMBERS}
    paths = {
        node: (await deployment.is_cut(node, "redis"), await deployment.delay_of(node, "redis"))
        for node in MEMBERS
        if node != "redis"
    }
    below = await _containers(deployment) if deployment.kind == COMPOSE else _processes(lab)
    return {"states": states, "paths": paths, **await _redis(deployment), **below}


async def _redis(deployment) -> dict[str, Any]:
    async with asking(deployment) as redis:
        replication = await redis.info("replication")
        return {
            "settings": dict(sorted((await redis.config_get("*")).items())),
            "role": replication["role"],
            "limits": await redis.hgetall(scripts.LIMITS),
            "registry": sorted(await redis.hkeys(scripts.NODES)),
            "keys": sorted(key for key in await redis.keys("*") if not key.startswith(scripts.WINDOW_PREFIX)),
            "databases": sorted(name for name in await redis.info("keyspace")),
            "writes wait": await _writes_wait(redis),
        }


async def _writes_wait(redis) -> bool:
    """A pause holds back what may write: this would run into the time-out of `asking`."""
    await redis.publish("nobody-listens", "")
    return False


async def _containers(deployment) -> dict[str, Any]:
    programs = {member: await _listed(deployment, member) for member in MEMBERS}
    return {"not fresh": dict(await deployment.freshness()), "programs": programs}


async def _listed(deployment, member) -> list[str]:
    """Every program in its container but those that look after its health, and how many files its first may open."""
    script = (
        r"""for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline && echo; done 2>/dev/null;"""
        "grep 'Max open files' /proc/1/limits"
    )
    _, printed = await deployment.run(member, "sh", "-c", script)
    lines = (" ".join(line.split()) for line in printed.splitlines())
    return sorted(line for line in lines if line and not line.startswith(PASSING))


def _processes(lab) -> dict[str, Any]:
    deployment = lab.deployment
    processes = [one for one in kin(deployment.record) if one.pid != lab.clients.pid and one.cmdline()]
    etc = deployment.root / "etc"
    files = {str(path.relative_to(etc)): path.read_text() for path in sorted(etc.rglob("*")) if path.is_file()}
    return {
        "files": files,
        "programs": sorted(" ".join(one.cmdline()) for one in processes),
        "open files": sorted((one.cmdline()[-1], _may_open(one.pid)) for one in processes),
    }


def _may_open(pid: int) -> str:
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in limits if line.startswith("Max open files"))
