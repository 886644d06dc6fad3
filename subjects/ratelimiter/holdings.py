"""What lies in Redis and in no file: its settings, the limits that were set at run time, and what was counted."""

from __future__ import annotations

from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from operatorlab.errors import OperatorLabError
from operatorlab.subject import Deployment, Holdings, MemberState
from subjects.ratelimiter.past_links import asking
from subjects.ratelimiter.service import scripts


async def holdings_of(deployment: Deployment) -> Holdings:
    """All of it, past the links; a Redis that does not run or refuses to tell is `unseen`."""
    state = await deployment.state("redis")
    if state is not MemberState.RUNNING:
        return Holdings(unseen={"redis": f"it is {state.value}"})
    try:
        async with asking(deployment) as redis:
            return await _ask(redis)
    except (RedisError, OSError, OperatorLabError) as refusal:
        return Holdings(unseen={"redis": f"{type(refusal).__name__}: {refusal}"})


async def _ask(redis: Redis) -> Holdings:
    settings = {str(name): str(value) for name, value in (await redis.config_get("*")).items()}
    role = (await redis.info("replication"))["role"]
    limits = await cast("Any", redis.hgetall(scripts.LIMITS))
    counted = await cast("Any", redis.hgetall(scripts.TOTALS))
    return Holdings(
        settings={"redis": {**settings, "role": str(role)}, **{key: {"limit": value} for key, value in limits.items()}},
        totals={"redis": {f"allowed by {node}": float(total) for node, total in counted.items()}},
        acknowledged={"redis": float(sum(int(total) for total in counted.values()))},
    )
