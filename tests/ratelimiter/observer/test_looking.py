"""The observer against real processes: what it sees of a healthy system, and of one that is broken in every way."""

import asyncio
import json
import re

import httpx
import redis.asyncio

from operatorlab.errors import DockerTrouble
from operatorlab.subject import NodeState
from subjects.ratelimiter.limits import CANARY, DECLARED
from subjects.ratelimiter.observer.readings import Readings
from subjects.ratelimiter.subject import RateLimiter

NODES = ("node-1", "node-2", "node-3")
LONGEST_LOOK_S = 0.6
PAUSE_SEEN_S = 0.2
SLACK_S = 0.4  # what a busy machine may add
COUNTED = 20


async def test_a_healthy_system_is_seen_whole(watched):
    seen = await watched.look()
    assert RateLimiter().healthy(seen)
    assert [node.name for node in seen.nodes] == [member.name for member in RateLimiter.members]
    readings = Readings.of(seen)
    assert set(readings.nodes) == set(NODES)
    assert readings.redis is not None
    assert {key: window.limit for key, window in readings.redis.keys.items()} == DECLARED
    for counts in readings.nodes.values():
        assert counts.started > 0
        assert counts.latency.total == counts.allowed + counts.denied
    assert set(readings.counted_before) == set(readings.counted_after) == set(NODES)
    assert all(readings.counted_before[name] <= readings.counted_after[name] for name in NODES)
    json.dumps(dict(seen.readings))


async def test_the_canary_reaches_its_limit_on_every_node_and_no_further(watched):
    checks = []
    while {check.node for check in checks} != set(NODES) or {check.allowed for check in checks} != {True, False}:
        checks += Readings.of(await watched.look()).canary
        assert len(checks) < 400, "each node is asked in turn, and the window opens once a second"
    assert sum(check.cost for check in Readings.of(watched.history[-1]).canary) > DECLARED[CANARY]


async def test_a_hung_node_is_silent_and_delays_nobody(watched):
    await watched.deployment.pause("node-2")
    for _ in range(3):
        seen = await watched.look()
        assert seen.duration_s < LONGEST_LOOK_S + SLACK_S
        assert seen.node("node-2").state is NodeState.DOWN
        assert "hangs" in seen.node("node-2").reason
        assert {"node-1", "node-3"} <= Readings.of(seen).nodes.keys()
        assert not seen.blind, "what is down is seen to be down"
    await watched.deployment.resume("node-2")
    await watched.look()
    assert (await watched.look()).node("node-2").state is NodeState.UP


async def test_a_paused_node_is_known_to_be_paused_and_believed_at_once(watched):
    await watched.deployment.pause("node-2")
    seen = await watched.look()
    assert seen.node("node-2").facts["silence"] == "frozen"
    assert seen.duration_s < PAUSE_SEEN_S + SLACK_S
    assert await watched.look_until_broken(1) == {"node_down/node-2"}


async def test_a_node_that_hangs_with_nobody_to_say_why_is_merely_silent(watched):
    async def nobody_knows(member):
        raise DockerTrouble("the daemon is away")

    watched.observer._asking._state = nobody_knows
    await watched.deployment.pause("node-2")
    seen = await watched.look()
    assert (seen.node("node-2").state, seen.node("node-2").facts["silence"]) == (NodeState.DOWN, "hung")
    assert await watched.look_until_broken(1) == {"node_down/node-2"}


async def test_a_killed_node_announces_itself_by_its_connections(watched):
    told = asyncio.ensure_future(anext(watched.observer.changes()))
    await watched.look()
    await watched.deployment.kill("node-2")
    assert (await told).member == "node-2"


async def test_two_nodes_hung_at_once_are_both_found(watched):
    await asyncio.gather(watched.deployment.pause("node-1"), watched.deployment.pause("node-3"))
    assert await watched.look_until_broken(2) == {"node_down/node-1", "node_down/node-3"}


async def test_everything_killed_is_an_observation_like_any_other(watched):
    await asyncio.gather(*(watched.deployment.kill(member) for member in (*NODES, "redis")))
    seen = await watched.look()
    assert {node.state for node in seen.nodes} == {NodeState.DOWN}
    # Inside a boundary what lets the observer in closes, where nothing listens behind it.
    reasons = [node.reason for node in seen.nodes]
    assert all(re.search("refuses connections|closes connections at once", r) for r in reasons), reasons
    assert seen.duration_s < LONGEST_LOOK_S + SLACK_S
    assert Readings.of(seen) == Readings()


async def test_everything_frozen_is_too(watched):
    await asyncio.gather(*(watched.deployment.pause(member) for member in (*NODES, "redis")))
    seen = await watched.look()
    assert {node.state for node in seen.nodes} == {NodeState.DOWN}
    assert all("hangs" in node.reason for node in seen.nodes)
    assert seen.duration_s < LONGEST_LOOK_S + SLACK_S


async def test_a_node_cut_off_from_redis_lives_and_says_so(watched):
    await watched.deployment.cut("node-2", "redis")
    assert await watched.look_until_broken(1) == {"redis_disconnected/node-2"}
    seen = watched.history[-1]
    assert seen.node("node-2").state is NodeState.DEGRADED
    assert "timeout" in seen.node("node-2").reason
    assert seen.node("redis").state is NodeState.UP


async def test_a_frozen_redis_is_blamed_for_all(watched):
    await watched.deployment.pause("redis")
    assert await watched.look_until_broken(1) == {"redis_disconnected/redis"}


async def test_a_restarted_node_is_seen_at_the_next_look(watched):
    before = Readings.of(await watched.look()).nodes["node-2"].started
    await watched.deployment.kill("node-2")
    await watched.look()
    await watched.deployment.start("node-2")
    seen = await watched.look()
    assert seen.node("node-2").state is NodeState.UP
    assert Readings.of(seen).nodes["node-2"].started > before


async def test_redis_that_refuses_the_observer_makes_it_blind_and_the_nodes_cut_off(watched):
    async with connect(watched.deployment) as client:
        await client.config_set("requirepass", "x")
        await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        broken = await watched.look_until_broken(2)
    assert broken == {"redis_disconnected/redis", "observer_blind/redis"}
    assert "Authentication required" in watched.history[-1].node("redis").reason


async def test_nonsense_in_redis_is_reported_not_raised(watched):
    async with connect(watched.deployment) as client:
        await client.hset("rl:totals", "node-1", "many")
        seen = await watched.look()
    assert seen.node("redis").state is NodeState.DEGRADED
    assert seen.blind_to("counts", "redis")


async def test_flushed_counters_are_drift_and_redis_is_blamed(watched):
    host, port = watched.deployment.address("node-1")
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as node:
        for n in range(COUNTED):  # more than the canary adds before the next look
            (await node.post("/check", json={"key": f"user-{n}"})).raise_for_status()
    while (Readings.of(await watched.look()).counted_before.get("node-1", 0)) < COUNTED:
        pass  # on a busy machine a reading may have to do without the totals
    async with connect(watched.deployment) as client:
        await client.flushall()
        broken: set[str] = set()
        while "counter_drift/redis" not in broken:  # a canary that passes twice may show first
            broken = await watched.look_until_broken(1)


async def test_metrics_that_are_switched_off_are_a_blind_spot(watched):
    file = watched.deployment.root / "etc" / "node-2.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"metrics": False}))
    await watched.deployment.kill("node-2")
    await watched.deployment.start("node-2")
    seen = await watched.look()
    assert seen.blind_to("metrics", "node-2")
    assert not RateLimiter().healthy(seen)
    while watched.history[-1].monotonic - seen.monotonic < 2.0:
        await watched.look()
    assert await watched.look_until_broken(1) == {"observer_blind/node-2"}


async def test_a_node_that_allows_without_redis_is_a_ghost(watched):
    for name in NODES:
        file = watched.deployment.root / "etc" / f"{name}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"on_redis_error": "allow"}))
        await watched.deployment.kill(name)
        await watched.deployment.start(name)
    await watched.deployment.kill("redis")
    assert {"ghost_allowing/canary"} <= await watched.look_until_broken(2)


async def test_a_slow_path_of_one_node_blames_it_and_of_all_blames_redis(watched):
    await watched.deployment.delay("node-2", "redis", 0.055)  # a call takes twice that; the node waits 0.25 s
    assert await watched.look_until_broken(1) == {"high_latency/node-2"}
    for name in ("node-1", "node-3"):
        await watched.deployment.delay(name, "redis", 0.055)
    watched.history.clear()
    assert await watched.look_until_broken(1) == {"high_latency/redis"}


def connect(deployment) -> redis.asyncio.Redis:
    host, port = deployment.address("redis")
    return redis.asyncio.Redis(host=host, port=port, protocol=2)
