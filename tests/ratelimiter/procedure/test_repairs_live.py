"""The procedure against the real system: it finds what is wrong, repairs that and nothing else."""

from __future__ import annotations

import json

import httpx
import pytest

from operatorlab.subject import MemberState


async def _limits(deployment):
    host, port = deployment.address("node-3")
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(f"http://{host}:{port}/api/limits")).json()


async def _set_limit(deployment, key, limit):
    host, port = deployment.address("node-1")
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.put(f"http://{host}:{port}/api/limits/{key}", json={"limit": limit})
        answer.raise_for_status()


async def _ready(deployment, node):
    host, port = deployment.address(node)
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(f"http://{host}:{port}/ready")).status_code == 200


async def test_with_nothing_wrong_nothing_is_touched(live, play, ticket):
    played = await play(live, ticket("node_down", "node-2"))
    assert played.acted == []
    said = played.conclusion
    assert (said.outcome, said.kind, said.blamed, said.changed) == ("no_action_needed", "none", (), ())
    assert {one.cause for one in said.rejected} >= {"a process crashed", "Redis is down", "a limit was changed"}


async def test_an_invariant_it_cannot_judge_is_escalated_not_talked_away(live, play, ticket):
    played = await play(live, ticket("counter_drift", "node-1"))
    assert played.acted == []
    assert played.conclusion.outcome == "escalated"
    assert "counter_drift" in played.conclusion.mechanism
    assert played.conclusion.blamed == ()


async def test_a_killed_node_is_started(live, play, ticket):
    await live.kill("node-2")
    played = await play(live, ticket("node_down", "node-2"))
    assert played.acted == ["supervisorctl start node-2"]
    said = played.conclusion
    assert (said.outcome, said.kind, said.blamed) == ("resolved", "crash", ("node-2",))
    assert said.changed == ("started node-2",)
    assert await _ready(live, "node-2")


async def test_a_frozen_node_goes_on_without_a_restart(live, play, ticket):
    await live.pause("node-3")
    played = await play(live, ticket("node_down", "node-3"))
    assert played.acted == ["supervisorctl signal CONT node-3"]
    said = played.conclusion
    assert (said.outcome, said.kind, said.blamed) == ("resolved", "hang", ("node-3",))
    assert await live.state("node-3") is MemberState.RUNNING


async def test_a_killed_redis_is_started_and_no_node_is_touched(live, play, ticket):
    await live.kill("redis")
    played = await play(live, ticket("redis_disconnected", "redis"))
    assert played.acted == ["supervisorctl start redis"]
    said = played.conclusion
    assert (said.outcome, said.kind, said.blamed) == ("resolved", "dependency_down", ("redis",))
    assert said.spread == (("redis", "node-1"), ("redis", "node-2"), ("redis", "node-3"))


async def test_a_frozen_redis_goes_on_and_keeps_its_data(live, play, ticket):
    await _set_limit(live, "tenant-b", 40)
    await live.pause("redis")
    played = await play(live, ticket("redis_disconnected", "redis"))
    assert played.acted == ["supervisorctl signal CONT redis"]
    assert (played.conclusion.outcome, played.conclusion.kind) == ("resolved", "hang")
    assert (await _limits(live))["overrides"] == {"tenant-b": 40}, "an override that equals the declared limit stays"


async def test_a_cut_path_is_mended_in_its_rule_and_no_process_is_restarted(live, play, ticket):
    await live.cut("node-1", "redis")
    played = await play(live, ticket("redis_disconnected", "node-1"))
    assert len(played.acted) == 1
    assert "supervisorctl signal HUP link-node-1" in played.acted[0]
    said = played.conclusion
    assert (said.outcome, said.kind, said.blamed) == ("resolved", "partition", ("node-1",))
    assert "link between node-1 and Redis" in said.mechanism
    assert not await live.is_cut("node-1", "redis")
    assert await _ready(live, "node-1")


async def test_a_delayed_path_is_mended_too(live, play, ticket):
    await live.delay("node-2", "redis", 0.1)
    played = await play(live, ticket("high_latency", "node-2"))
    assert (played.conclusion.outcome, played.conclusion.kind) == ("resolved", "slow")


async def test_a_raised_limit_goes_back_to_what_is_declared(live, play, ticket):
    await _set_limit(live, "tenant-a", 20_000)
    await _set_limit(live, "odd%2Fkey%27%3Btouch%20x", 7)
    played = await play(live, ticket("ghost_allowing", "tenant-a"))
    said = played.conclusion
    assert (said.outcome, said.kind) == ("resolved", "misconfiguration")
    assert set(said.blamed) == {"tenant-a", "odd/key';touch x"}
    assert "20000" in said.mechanism
    assert (await _limits(live))["overrides"] == {}
    assert not (live.root / "x").exists(), "a key never becomes a part of a command"


async def test_several_things_at_once_are_all_repaired(live, play, ticket):
    await _set_limit(live, "tenant-c", 0)
    await live.pause("redis")
    await live.kill("node-1")
    await live.cut("node-3", "redis")
    played = await play(live, ticket("node_down", "node-1") + ticket("redis_disconnected", "redis"))
    said = played.conclusion
    assert said.outcome == "resolved"
    assert set(said.blamed) == {"redis", "node-1", "node-3", "tenant-c"}
    assert len(said.changed) == 4
    assert [await _ready(live, node) for node in ("node-1", "node-2", "node-3")] == [True] * 3


async def test_a_node_whose_configuration_is_broken_is_escalated_and_not_started_in_vain(live, play, ticket):
    await live.kill("node-2")
    (live.root / "etc/node-2.json").write_text('{"name": "node-2", "port": "none"}')
    played = await play(live, ticket("node_down", "node-2"))
    said = played.conclusion
    assert played.acted == []
    assert (said.outcome, said.blamed, said.kind) == ("escalated", ("node-2",), "misconfiguration")
    assert "etc/node-2.json" in said.mechanism


async def test_a_node_that_dies_at_start_is_escalated_with_what_its_log_says(live, play, ticket):
    await live.kill("node-2")
    configuration = live.root / "etc/node-2.json"
    configuration.write_text(configuration.read_text().replace("limits.json", "limit.json"))
    played = await play(live, ticket("node_down", "node-2"))
    assert played.acted == ["supervisorctl start node-2"], "once, not again and again"
    assert (played.conclusion.outcome, played.conclusion.blamed) == ("escalated", ("node-2",))
    assert "bad configuration: etc/limit.json: No such file" in played.conclusion.mechanism


@pytest.mark.parametrize(("wrong", "kind"), [
    ({"cache_s": 10.0, "on_redis_error": "allow"}, "misconfiguration"),
    ({"limits_file": "etc/other.json"}, "bad_rollout"),
])  # fmt: skip
async def test_a_node_that_was_told_what_nobody_agreed_on_gets_its_file_back_and_is_restarted(
    live, play, ticket, wrong, kind
):
    file = live.root / "etc/node-2.json"
    before = file.read_text()
    (live.root / "etc/other.json").write_text((live.root / "etc/limits.json").read_text())
    file.write_text(json.dumps(json.loads(before) | wrong))
    await live.stop("node-2")
    await live.start("node-2")
    played = await play(live, ticket("counter_drift", "node-2"))
    (command,) = [command for command in played.acted if not command.startswith("for i in")]
    assert command.endswith("supervisorctl restart node-2")
    said = played.conclusion
    assert (said.outcome, said.blamed, said.kind) == ("resolved", ("node-2",), kind)
    assert all(name in said.mechanism for name in wrong)
    assert file.read_text() == before
    assert await _ready(live, "node-2")


async def test_of_a_rollout_that_went_half_way_the_one_that_is_right_is_left_alone(live, play, ticket):
    before = (live.root / "etc/node-3.json").read_text()
    for node in ("node-1", "node-2"):
        file = live.root / f"etc/{node}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"redis_db": 2}))
        await live.stop(node)
        await live.start(node)
    played = await play(live, ticket("counter_drift", "node-1"))
    assert (played.conclusion.outcome, played.conclusion.blamed) == ("resolved", ("node-1", "node-2"))
    assert (live.root / "etc/node-3.json").read_text() == before
    assert not any("node-3" in command for command in played.acted if "restart" in command)


async def test_redis_that_became_a_replica_is_escalated_untouched(live, play, ticket):
    import redis.asyncio

    async with redis.asyncio.Redis(port=live.address("redis")[1]) as client:
        await client.execute_command("REPLICAOF", "127.0.0.1", "1")
    played = await play(live, ticket("redis_disconnected", "redis"))
    assert played.acted == []
    assert (played.conclusion.outcome, played.conclusion.blamed) == ("escalated", ("redis",))
    assert "replica" in played.conclusion.mechanism
