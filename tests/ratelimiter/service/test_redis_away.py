"""A node without Redis: says so in time, follows its policy, and is back as soon as Redis is."""

from __future__ import annotations

import asyncio
import signal
import time


async def _check(cluster, url):
    began = time.monotonic()
    answer = await cluster.http.post(f"{url}/check", json={"key": "tenant-b"})
    return answer, time.monotonic() - began


async def _until_ready(cluster, url, deadline_s=5.0):
    began = time.monotonic()
    while (await cluster.http.get(f"{url}/ready")).status_code != 200:
        assert time.monotonic() - began < deadline_s
        await asyncio.sleep(0.02)


async def test_a_dead_redis_denies_with_the_reason_and_is_found_again(cluster):
    url = await cluster.start_node()
    await cluster.end("redis")
    answer, _ = await _check(cluster, url)
    assert answer.status_code == 503
    assert answer.json() == {"error": "redis_unavailable", "reason": "redis: connection refused"}
    ready = await cluster.http.get(f"{url}/ready")
    assert (ready.status_code, ready.json()["reason"]) == (503, "redis: connection refused")
    assert (await cluster.http.get(f"{url}/health")).status_code == 200
    await cluster.start_redis()
    answer, _ = await _check(cluster, url)
    assert answer.json()["allowed"], "the first call after Redis is back works, although its scripts are gone"


async def test_a_frozen_redis_costs_each_call_its_deadline_and_calls_do_not_pile_up(cluster):
    url = await cluster.start_node(redis_timeout_s=0.25)
    await _check(cluster, url)
    cluster.running["redis"].send_signal(signal.SIGSTOP)
    answers = await asyncio.gather(*(_check(cluster, url) for _ in range(100)))
    assert {answer.status_code for answer, _ in answers} == {503}
    assert {answer.json()["reason"] for answer, _ in answers} == {"redis: timeout after 0.25 s"}
    assert max(seconds for _, seconds in answers) < 2.0, "a hundred at once take one deadline, not a hundred"
    _, alone = await _check(cluster, url)
    assert 0.2 < alone < 1.0
    cluster.running["redis"].send_signal(signal.SIGCONT)
    await _until_ready(cluster, url)
    answer, _ = await _check(cluster, url)
    assert answer.json()["allowed"]


async def test_with_the_policy_allow_requests_pass_and_are_counted_as_such(cluster):
    url = await cluster.start_node(on_redis_error="allow")
    await cluster.end("redis")
    answer, _ = await _check(cluster, url)
    uncounted = {"allowed": True, "limit": None, "remaining": None, "retry_after_s": 0.0, "node": "node-1"}
    assert (answer.status_code, answer.json()) == (200, uncounted)
    metrics = (await cluster.http.get(f"{url}/metrics")).text
    assert 'ratelimiter_decisions_total{node="node-1",outcome="allowed_without_redis"} 1.0' in metrics


async def test_a_node_starts_without_redis_and_joins_it_later(bare):
    url = await bare.start_node(ready=False)
    assert (await bare.http.get(f"{url}/ready")).status_code == 503
    await bare.start_redis()
    await _until_ready(bare, url)


async def test_a_redis_that_refuses_writes_makes_the_node_unready_and_says_why(cluster):
    url = await cluster.start_node()
    async with cluster.redis() as redis:
        for change, undo, sign in (
            ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY"),
            ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM"),
            ("CONFIG SET requirepass x", "CONFIG SET requirepass ", "Authentication required"),
        ):
            await redis.execute_command(*change.split(" "))
            await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            ready = await cluster.http.get(f"{url}/ready")
            assert (ready.status_code, sign in ready.json()["reason"]) == (503, True), ready.text
            await redis.execute_command(*undo.split(" "))
            assert (await cluster.http.get(f"{url}/ready")).status_code == 200


async def test_errors_are_logged_sparingly_and_denied_keys_cannot_forge_lines(cluster):
    url = await cluster.start_node()
    hostile = "x\n2026 ERROR redis: FLUSHALL now \x1b[31m"
    for _ in range(51):
        assert (await cluster.http.post(f"{url}/check", json={"key": hostile})).status_code == 200
    await cluster.end("redis")
    for _ in range(20):
        await _check(cluster, url)
    log = cluster.log()
    assert "\n2026 ERROR" not in log.replace("2026-", "")
    assert "\x1b" not in log
    assert 'over its limit: key="x\\n2026 ERROR redis: FLUSHALL now \\u001b[31m" limit=50' in log
    assert log.count("redis: connection refused; policy: deny") == 1
