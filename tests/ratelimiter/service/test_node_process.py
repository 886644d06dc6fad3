"""A node as a process: its configuration, its metrics, its end."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families


async def _samples(cluster, url):
    text = (await cluster.http.get(f"{url}/metrics")).text
    families = text_string_to_metric_families(text)
    return {(s.name, s.labels.get("outcome") or s.labels.get("le")): s for f in families for s in f.samples}


async def test_metrics_count_each_outcome_and_its_latency(cluster):
    url = await cluster.start_node()
    for _ in range(22):
        await cluster.http.post(f"{url}/check", json={"key": "tenant-a"})
    await cluster.end("redis")
    await cluster.http.post(f"{url}/check", json={"key": "tenant-a"})
    seen = await _samples(cluster, url)
    outcomes = ("allowed", "denied", "allowed_without_redis", "denied_without_redis")
    counted = {outcome: seen["ratelimiter_decisions_total", outcome].value for outcome in outcomes}
    assert counted["allowed"] + counted["denied"] == 22
    assert counted["allowed"] >= 20
    assert counted["denied_without_redis"] == 1
    assert seen["ratelimiter_decision_seconds_count", None].value == 23
    assert {"0.0005", "0.25", "5.0", "+Inf"} <= {
        le for name, le in seen if name == "ratelimiter_decision_seconds_bucket"
    }
    assert seen["ratelimiter_redis_errors_total", None].value >= 1
    assert seen["ratelimiter_ready", None].labels == {"node": "node-1"}
    assert seen["process_start_time_seconds", None].value > 0


async def test_metrics_can_be_switched_off(cluster):
    url = await cluster.start_node(metrics=False)
    assert (await cluster.http.get(f"{url}/metrics")).status_code == 404


async def test_the_ready_gauge_follows_redis_without_being_asked(cluster, until):
    url = await cluster.start_node(heartbeat_s=0.05)
    await cluster.end("redis")

    async def not_ready():
        assert (await _samples(cluster, url))["ratelimiter_ready", None].value == 0

    await until(not_ready)


async def test_sigterm_ends_a_node_quickly_even_with_clients_connected(cluster):
    url = await cluster.start_node()
    await cluster.http.get(f"{url}/health")  # this connection stays open
    began = asyncio.get_running_loop().time()
    await cluster.end("node-1", signal.SIGTERM)
    assert asyncio.get_running_loop().time() - began < 3
    assert "node-1 stopped" in cluster.log()
    assert "Traceback" not in cluster.log()
    async with cluster.redis() as redis:
        assert await redis.hgetall("rl:nodes") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"name": "node-1", "port": "x", "redis_port": 1}', "node-1.json: port: Input should be a valid integer"),
        (
            '{"name": "node-1", "port": 1, "redis_port": 1, "redis_prot": 2}',
            "redis_prot: Extra inputs are not permitted",
        ),
        ('{"name": "node-1"', "node-1.json: file: Invalid JSON"),
        ('{"name": "node-1", "port": 1, "redis_port": 1, "limits_file": "none.json"}', "none.json: No such file"),
        (None, "node-1.json: No such file"),
    ],
)
async def test_a_bad_configuration_is_named_in_one_line(bare, text, said):
    if text is not None:
        (bare.root / "node-1.json").write_text(text)
    process = await bare.spawn("node-1", sys.executable, "-P", "-m", "subjects.ratelimiter.service", "node-1.json")
    assert await process.wait() == 2
    (line,) = bare.log().splitlines()
    assert said in line
    assert "ERROR bad configuration" in line


async def test_negative_limits_are_refused_at_the_start(bare):
    bare.write_limits(limits={"a": -1})
    bare.configure("node-1")
    process = await bare.spawn("node-1", sys.executable, "-P", "-m", "subjects.ratelimiter.service", "node-1.json")
    assert await process.wait() == 2
    assert "limits.a" in bare.log()
