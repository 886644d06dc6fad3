"""What can be broken in the rate limiter on purpose, one file each.

A fault says what it really does (`truth`), whether it is in force by the system's own state (`active`), and
how to undo it whatever has happened since (`heal`).
"""

from __future__ import annotations

from operatorlab.subject import Fault
from subjects.ratelimiter.faults.failover_clients import FailoverClients
from subjects.ratelimiter.faults.hot_key import HotKey
from subjects.ratelimiter.faults.insistent_clients import InsistentClients
from subjects.ratelimiter.faults.node_bad_window import NodeBadWindow
from subjects.ratelimiter.faults.node_configuration import MetricsDead, NodeClockSkew, NodeLocalCache, NodeWrongRedis
from subjects.ratelimiter.faults.node_crash import NodeCrash
from subjects.ratelimiter.faults.node_crash_loop import NodeCrashLoop
from subjects.ratelimiter.faults.node_disconnected import NodeDisconnected
from subjects.ratelimiter.faults.node_fail_open import NodeFailOpen
from subjects.ratelimiter.faults.node_fd_exhaustion import NodeFdExhaustion
from subjects.ratelimiter.faults.node_hang import NodeHang
from subjects.ratelimiter.faults.node_limits import NodeOutOfMemory, NodeSlowCpu
from subjects.ratelimiter.faults.node_memory_leak import NodeMemoryLeak
from subjects.ratelimiter.faults.node_stop import NodeStop
from subjects.ratelimiter.faults.redis_client_pause import RedisClientPause
from subjects.ratelimiter.faults.redis_crash import RedisCrash
from subjects.ratelimiter.faults.redis_disk_full import RedisDiskFull
from subjects.ratelimiter.faults.redis_evicting import RedisEvicting
from subjects.ratelimiter.faults.redis_flush import RedisFlush
from subjects.ratelimiter.faults.redis_hang import RedisHang
from subjects.ratelimiter.faults.redis_latency import RedisLatency
from subjects.ratelimiter.faults.redis_maxclients import RedisMaxclients
from subjects.ratelimiter.faults.redis_maxmemory import RedisMaxmemory
from subjects.ratelimiter.faults.redis_packets import RedisDropped, RedisLoss, RedisOneWay
from subjects.ratelimiter.faults.redis_partition import RedisPartition
from subjects.ratelimiter.faults.redis_password import RedisPassword
from subjects.ratelimiter.faults.redis_readonly import RedisReadonly
from subjects.ratelimiter.faults.redis_slow_script import RedisSlowScript
from subjects.ratelimiter.faults.registry_ghost import RegistryGhost
from subjects.ratelimiter.faults.self_healing_crash import SelfHealingCrash
from subjects.ratelimiter.faults.thundering_herd import ThunderingHerd
from subjects.ratelimiter.faults.wrong_limit import LimitMisconfigured, LimitZero

FAULTS: tuple[type[Fault], ...] = (
    NodeCrash,
    SelfHealingCrash,
    NodeStop,
    NodeHang,
    NodeDisconnected,
    NodeSlowCpu,
    NodeOutOfMemory,
    NodeMemoryLeak,
    NodeFdExhaustion,
    NodeCrashLoop,
    NodeBadWindow,
    NodeFailOpen,
    NodeWrongRedis,
    NodeLocalCache,
    NodeClockSkew,
    MetricsDead,
    HotKey,
    ThunderingHerd,
    InsistentClients,
    FailoverClients,
    RedisCrash,
    RedisHang,
    RedisClientPause,
    RedisReadonly,
    RedisMaxmemory,
    RedisEvicting,
    RedisPassword,
    RedisDiskFull,
    RedisPartition,
    RedisDropped,
    RedisOneWay,
    RedisLoss,
    RedisLatency,
    RedisFlush,
    RedisSlowScript,
    RedisMaxclients,
    RegistryGhost,
    LimitMisconfigured,
    LimitZero,
)

__all__ = [
    "FAULTS",
    "FailoverClients",
    "HotKey",
    "InsistentClients",
    "LimitMisconfigured",
    "LimitZero",
    "MetricsDead",
    "NodeBadWindow",
    "NodeClockSkew",
    "NodeCrash",
    "NodeCrashLoop",
    "NodeDisconnected",
    "NodeFailOpen",
    "NodeFdExhaustion",
    "NodeHang",
    "NodeLocalCache",
    "NodeMemoryLeak",
    "NodeOutOfMemory",
    "NodeSlowCpu",
    "NodeStop",
    "NodeWrongRedis",
    "RedisClientPause",
    "RedisCrash",
    "RedisDiskFull",
    "RedisDropped",
    "RedisEvicting",
    "RedisFlush",
    "RedisHang",
    "RedisLatency",
    "RedisLoss",
    "RedisMaxclients",
    "RedisMaxmemory",
    "RedisOneWay",
    "RedisPartition",
    "RedisPassword",
    "RedisReadonly",
    "RedisSlowScript",
    "RegistryGhost",
    "SelfHealingCrash",
    "ThunderingHerd",
]
