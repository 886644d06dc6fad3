"""What goes wrong together or in turn in the rate limiter, and controls in which nothing goes wrong that matters."""

from __future__ import annotations

from operatorlab.composites import again, briefly, hit, in_turn, later, together
from operatorlab.subject import Composite
from subjects.ratelimiter import faults as f

COMPOSITES = (
    Composite(
        "crash_and_slow_path",
        "a node is down, and the path of another to Redis is slow",
        together(hit(f.NodeCrash, "node-1"), hit(f.RedisLatency, "node-2")),
    ),
    Composite(
        "two_nodes_at_once",
        "one node is killed and another freezes: a third is left",
        together(hit(f.NodeCrash, "node-1"), hit(f.NodeHang, "node-2")),
    ),
    Composite(
        "crash_behind_partition",
        "a node loses its path to Redis, and a moment later another is killed",
        in_turn(hit(f.RedisPartition, "node-1"), hit(f.NodeCrash, "node-2"), every_s=1.0),
    ),
    Composite(
        "readonly_after_restart",
        "Redis is down for a while, and comes back as the replica of a primary that does not exist",
        in_turn(briefly(hit(f.RedisCrash, "redis"), 2.0), hit(f.RedisReadonly, "redis"), every_s=3.0),
    ),
    Composite(
        "old_fault_leaves_as_new_one_comes",
        "the path of one node is mended while another node is killed",
        together(briefly(hit(f.RedisPartition, "node-1"), 4.0), later(hit(f.NodeCrash, "node-2"), 3.0)),
    ),
    Composite(
        "flapping_node",
        "a node is killed and started twice; the third time it stays down",
        in_turn(
            again(briefly(hit(f.NodeCrash, "node-1"), 1.0), times=2, every_s=4.0),
            hit(f.NodeCrash, "node-1"),
            every_s=8.0,
        ),
    ),
    Composite(
        "half_rollout",
        "two of three nodes are started with a window that is too short",
        together(hit(f.NodeBadWindow, "node-1"), hit(f.NodeBadWindow, "node-2")),
    ),
    Composite(
        "wrong_limit_while_slow",
        "a client keeps Redis busy, and the limit of a key is set a thousandfold too high",
        together(hit(f.RedisSlowScript, "redis"), hit(f.LimitMisconfigured, "tenant-a")),
    ),
    Composite(
        "blind_and_down",
        "one node tells nothing of itself any more, and another is killed",
        in_turn(hit(f.MetricsDead, "node-1"), hit(f.NodeCrash, "node-2"), every_s=4.0),
    ),
    Composite(
        "two_rogue_clients",
        "one client keeps Redis busy, another writes heartbeats of a node that does not exist",
        together(hit(f.RedisSlowScript, "redis"), hit(f.RegistryGhost, "redis")),
    ),
    Composite(
        "out_of_files_and_cut_off",
        "a node can open no more files, and the path of another to Redis is cut",
        together(hit(f.NodeFdExhaustion, "node-1"), hit(f.RedisPartition, "node-2")),
    ),
    Composite(
        "limits_of_two_keys",
        "one key is allowed a thousandfold, and another nothing at all",
        together(hit(f.LimitMisconfigured, "tenant-a"), hit(f.LimitZero, "tenant-b")),
    ),
    Composite(
        "retry_storm",
        "Redis stands still for six seconds; clients that ask again and again keep a node overloaded ever after",
        together(hit(f.InsistentClients, "node-1"), later(briefly(hit(f.RedisHang, "redis"), 6.0), 8.0)),
    ),
    Composite(
        "cascading_overload",
        "a node is killed, and its clients are more than the node that they go to can bear",
        together(hit(f.FailoverClients, "node-2"), later(hit(f.NodeCrash, "node-1"), 8.0)),
    ),
    Composite("nothing", "nothing is done at all", (), harmless=True),
    Composite(
        "short_pause",
        "a node stands still for half a second: less than is waited for",
        briefly(hit(f.NodeHang, "node-1"), 0.5),
        harmless=True,
    ),
    Composite(
        "short_pause_of_redis",
        "Redis stands still for a fifth of a second: less than nodes wait for",
        briefly(hit(f.RedisHang, "redis"), 0.2),
        harmless=True,
    ),
)
