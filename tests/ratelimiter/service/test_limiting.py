"""The limiter keeps its promise: exactly the limit, over all nodes, in any window."""

from __future__ import annotations

import asyncio
from collections import Counter

from subjects.ratelimiter.limits import DECLARED


async def _check(cluster, url, key, **more):
    answer = await cluster.http.post(f"{url}/check", json={"key": key, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_many_parallel_checks_on_three_nodes_allow_exactly_the_limit(cluster):
    cluster.write_limits(window_s=30.0)  # all of them lie in one window, however slow this machine is
    urls = await asyncio.gather(*(cluster.start_node(f"node-{number}") for number in (1, 2, 3)))
    answers = await asyncio.gather(*(_check(cluster, urls[i % 3], "tenant-a") for i in range(150)))
    allowed = Counter(answer["node"] for answer in answers if answer["allowed"])
    assert allowed.total() == DECLARED["tenant-a"] == 20
    assert set(allowed) == {"node-1", "node-2", "node-3"}
    async with cluster.redis() as redis:
        assert await redis.zcard("rl:w:tenant-a") == 20, "every member is unique"
        assert await redis.hgetall("rl:totals") == {node: str(count) for node, count in allowed.items()}


async def test_a_denied_client_that_waits_as_told_is_allowed(cluster):
    cluster.write_limits(limits={"slow": 1})
    url = await cluster.start_node()
    first = await _check(cluster, url, "slow")
    assert first == {"allowed": True, "limit": 1, "remaining": 0, "retry_after_s": 0.0, "node": "node-1"}
    denied = await _check(cluster, url, "slow")
    assert not denied["allowed"]
    assert 0 < denied["retry_after_s"] <= 1.0
    await asyncio.sleep(denied["retry_after_s"])
    assert (await _check(cluster, url, "slow"))["allowed"]


async def test_a_denied_request_takes_nothing_and_cost_counts(cluster):
    cluster.write_limits(window_s=30.0)
    url = await cluster.start_node()
    assert (await _check(cluster, url, "tenant-a", cost=15))["remaining"] == 5
    too_much = await _check(cluster, url, "tenant-a", cost=6)
    assert (too_much["allowed"], too_much["remaining"]) == (False, 5)
    assert (await _check(cluster, url, "tenant-a", cost=5))["remaining"] == 0
    never = await _check(cluster, url, "tenant-a", cost=21)
    assert (never["allowed"], never["retry_after_s"]) == (False, None)
    async with cluster.redis() as redis:
        assert await redis.hgetall("rl:totals") == {"node-1": "2"}, "totals count requests, not what they cost"


async def test_keys_do_not_share_and_unlisted_keys_have_the_default(cluster):
    url = await cluster.start_node()
    assert (await _check(cluster, url, "someone"))["remaining"] == 49
    assert (await _check(cluster, url, "someone else"))["remaining"] == 49


async def test_redis_holds_nothing_but_what_was_agreed_and_windows_expire(cluster):
    url = await cluster.start_node()
    for number in range(20):
        await _check(cluster, url, f"key {number}")
    async with cluster.redis() as redis:
        keys = set(await redis.keys("*"))
        assert keys == {f"rl:w:key {number}" for number in range(20)} | {"rl:totals", "rl:nodes"}
        assert 0 < await redis.pttl("rl:w:key 0") <= 2000


async def test_an_override_that_is_no_number_does_not_stop_the_limiter(cluster):
    url = await cluster.start_node()
    async with cluster.redis() as redis:
        await redis.hset("rl:limits", "tenant-a", "many")
        await redis.hset("rl:limits", b"\xff\xfe", b"\xff")
        await redis.hset("rl:limits", "long", "9" * 5000)
        await redis.hset("rl:totals", "node-7", "many")
    assert (await _check(cluster, url, "tenant-a"))["limit"] == 20
    told = (await cluster.http.get(f"{url}/api/limits")).json()["overrides"]
    assert told == {"tenant-a": "many", "\\xff\\xfe": "\\xff", "long": "9" * 5000}
    assert (await cluster.http.get(f"{url}/api/counters")).json()["totals"] == {"node-1": 1}


async def test_a_window_key_of_another_type_is_an_error_with_a_reason(cluster):
    url = await cluster.start_node()
    async with cluster.redis() as redis:
        await redis.set("rl:w:odd", "text")
    answer = await cluster.http.post(f"{url}/check", json={"key": "odd"})
    assert answer.status_code == 503
    assert "WRONGTYPE" in answer.json()["reason"]


async def test_a_node_that_keeps_its_answers_gives_them_again_without_redis(cluster):
    cluster.write_limits(window_s=30.0, limits={"few": 1})
    keeping = await cluster.start_node("node-1", cache_s=30.0)
    asking = await cluster.start_node("node-2")
    assert [(await _check(cluster, keeping, "few"))["allowed"] for _ in range(4)] == [True] * 4
    assert not (await _check(cluster, asking, "few"))["allowed"]
    async with cluster.redis() as redis:
        assert await redis.hgetall("rl:totals") == {"node-1": "1"}


async def test_a_node_with_a_clock_of_its_own_that_is_fast_forgets_what_the_others_allowed(cluster):
    cluster.write_limits(window_s=30.0, limits={"few": 2})
    url = await cluster.start_node("node-1")
    right = await cluster.start_node("node-2", clock="node")
    fast = await cluster.start_node("node-3", clock="node", clock_offset_s=60.0)
    assert [(await _check(cluster, who, "few"))["allowed"] for who in (url, right, url)] == [True, True, False]
    assert [(await _check(cluster, fast, "few"))["allowed"] for _ in range(3)] == [True, True, False]
    assert not (await _check(cluster, url, "few"))["allowed"]  # theirs are gone, and its own are from the future
    async with cluster.redis() as redis:
        assert await redis.hgetall("rl:totals") == {"node-1": "1", "node-2": "1", "node-3": "2"}


async def test_a_node_counts_in_the_database_it_is_told(cluster):
    cluster.write_limits(window_s=30.0, limits={"few": 1})
    here, elsewhere = await cluster.start_node("node-1"), await cluster.start_node("node-2", redis_db=3)
    assert (await _check(cluster, here, "few"))["allowed"]
    assert (await _check(cluster, elsewhere, "few"))["allowed"]
