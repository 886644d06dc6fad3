"""What faults in Redis have in common: their target, and settings that are changed and set back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from redis.asyncio import Redis

from operatorlab.subject import Deployment, Json, MemberState
from subjects.ratelimiter.faults.on_member import MemberFault
from subjects.ratelimiter.members import NODES
from subjects.ratelimiter.past_links import asking


def every_node(redis: str) -> tuple[tuple[str, str], ...]:
    """Where the trouble of a Redis goes that serves nobody: to all who count in it."""
    return tuple((redis, node) for node in NODES)


class RedisFault(MemberFault):
    """A fault aimed at Redis."""

    role = "redis"


class SettingsFault(RedisFault):
    """Some of its `settings` are changed at run time; the memo keeps what they were, by name."""

    settings: ClassVar[tuple[str, ...]]

    async def usual(self, redis: Redis) -> dict[str, str]:
        """What they are, for the memo. Redis 6 tells one at a time."""
        return {setting: str((await redis.config_get(setting))[setting]) for setting in self.settings}

    async def heal(self, deployment: Deployment, memo: Mapping[str, Json]) -> None:
        """Set what was set before. One that was restarted meanwhile is as its file says, and no worse for it."""
        if not memo or await deployment.state(self.target) is MemberState.STOPPED:
            return
        async with asking(deployment) as redis:
            for setting in self.settings:
                await redis.config_set(setting, str(memo[setting]))
