"""What can be broken in the rate limiter on purpose, one file each.

A fault says what it really does (`truth`), whether it is in force by the system's own state (`active`), and
how to undo it whatever has happened since (`heal`).
"""

from __future__ import annotations

from operatorlab.subject import Fault
from subjects.ratelimiter.faults.limit_misconfigured import LimitMisconfigured
from subjects.ratelimiter.faults.node_crash import NodeCrash
from subjects.ratelimiter.faults.node_hang import NodeHang
from subjects.ratelimiter.faults.redis_crash import RedisCrash
from subjects.ratelimiter.faults.redis_partition import RedisPartition

FAULTS: tuple[type[Fault], ...] = (NodeCrash, NodeHang, RedisCrash, LimitMisconfigured, RedisPartition)
