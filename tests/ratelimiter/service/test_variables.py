"""What a node's environment says takes the place of what its files say."""

from __future__ import annotations

import sys

import psutil
import pytest

from subjects.ratelimiter.service.config import VARIABLES, BadConfiguration, NodeConfig, read_node

_TEXTS = {
    "name": "other",
    "host": "0.0.0.0",
    "port": "81",
    "redis_host": "r",
    "redis_port": "82",
    "limits_file": "limits.json",
    "on_redis_error": "allow",
    "redis_timeout_s": "1.5",
    "metrics": "false",
    "heartbeat_s": "2",
    "redis_connections": "4",
    "redis_db": "3",
    "clock": "node",
    "clock_offset_s": "-1",
    "cache_s": "10",
    "trace_kb": "7",
}


@pytest.fixture
def read(bare, monkeypatch):
    monkeypatch.chdir(bare.root)
    bare.configure("node-1")
    return lambda **environment: read_node(bare.root / "node-1.json", environment)


def test_every_field_of_a_node_has_a_variable(read):
    assert _TEXTS.keys() == NodeConfig.model_fields.keys()
    told = {name: _TEXTS[field] for name, field in VARIABLES.items() if field in _TEXTS}
    assert told.keys() == {f"RATELIMITER_{field.upper()}" for field in NodeConfig.model_fields}
    config, _ = read(**told, PATH="/bin", RATELIMITED="yes")
    assert config == NodeConfig.model_validate(_TEXTS)


def test_without_a_variable_the_files_hold(read):
    before, limits = read()
    config, declared = read(RATELIMITER_REDIS_DB="1", RATELIMITER_WINDOW_S="0.25")
    assert config == before.model_copy(update={"redis_db": 1})
    assert declared == limits.model_copy(update={"window_s": 0.25})


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RATELIMITER_REDIS_PORT": "6379;"}, "RATELIMITER_REDIS_PORT: Input should be a valid integer"),
        ({"RATELIMITER_WINDOW_S": "0"}, "RATELIMITER_WINDOW_S: Input should be greater than 0"),
        ({"RATELIMITER_CLOCK": ""}, "RATELIMITER_CLOCK: Input should be 'redis' or 'node'"),
        ({"RATELIMITER_REDIS_BD": "1"}, "RATELIMITER_REDIS_BD: no setting is called so"),
        ({"RATELIMITER_redis_db": "1"}, "RATELIMITER_redis_db: no setting is called so"),
        ({"RATELIMITER_LIMITS": "{}"}, "RATELIMITER_LIMITS: no setting is called so"),
    ],
)
def test_a_wrong_variable_is_named(read, variables, said):
    with pytest.raises(BadConfiguration) as refusal:
        read(**variables)
    assert str(refusal.value).startswith(said)


def test_a_file_that_does_not_fit_is_named_whatever_variables_say(read, bare):
    bare.configure("node-1", redis_db="x")
    with pytest.raises(BadConfiguration, match=r"node-1\.json: redis_db"):
        read(RATELIMITER_REDIS_DB="1")


async def test_a_node_that_is_told_nonsense_ends_with_one_line(bare):
    bare.configure("node-1")
    argv = (sys.executable, "-P", "-m", "subjects.ratelimiter.service", "node-1.json")
    process = await bare.spawn("node-1", *argv, RATELIMITER_REDIS_DB="many", RATELIMITER_CACHE_S="-1")
    assert await process.wait() == 2
    (line,) = bare.log().splitlines()
    assert "ERROR bad configuration: RATELIMITER_REDIS_DB: " in line
    assert "; RATELIMITER_CACHE_S: " in line


async def test_a_node_does_as_its_variables_say_and_tells_so(cluster):
    variables = {"RATELIMITER_REDIS_DB": "3", "RATELIMITER_METRICS": "false", "RATELIMITER_WINDOW_S": "0.25"}
    url = await cluster.start_node(variables=variables, redis_db=1)
    told = (await cluster.http.get(f"{url}/api/config")).json()
    assert (told["redis_db"], told["metrics"], told["window_s"], told["default"]) == (3, False, 0.25, 50)
    assert (await cluster.http.get(f"{url}/api/limits")).json()["window_s"] == 0.25
    assert (await cluster.http.get(f"{url}/metrics")).status_code == 404


async def test_traces_are_kept_for_ever_and_only_if_asked_for(cluster):
    async def grown(name, **told):
        url = await cluster.start_node(name, **told)
        process = psutil.Process(cluster.running[name].pid)
        await cluster.http.post(f"{url}/check", json={"key": "warm"})
        before = process.memory_info().rss
        for number in range(40):
            await cluster.http.post(f"{url}/check", json={"key": f"user-{number % 3}"})
        return process.memory_info().rss - before

    assert await grown("node-1", trace_kb=1024) > 39 << 20
    assert await grown("node-2") < 8 << 20
