"""The HTTP of a node: what it takes, what it refuses and how, what it documents."""

from __future__ import annotations

import json
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_NEARLY = st.fixed_dictionaries({}, optional={"key": _JSON, "cost": _JSON, "more": _JSON})


async def test_bodies_of_any_kind_never_break_a_node(cluster):
    url = await cluster.start_node()
    bodies: list[bytes] = []

    @settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None, database=None)
    @given(body=st.one_of(_JSON, _NEARLY).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40))
    def collect(body):
        bodies.append(body)

    collect()
    bodies += [b"[" * 50_000, b'{"key": "a", "cost": ' + b"9" * 5000 + b"}", b'{"key": "\\ud800"}']
    for body in bodies:
        answer = await cluster.http.post(f"{url}/check", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {200, 400, 422}, (body, answer.text)
        if answer.status_code != 200:
            assert set(answer.json()) == {"error", "reason"}
    assert "Traceback" not in cluster.log()


_BAD_CHECKS = [
    ({}, "body.key"),
    ({"key": ""}, "body.key"),
    ({"key": "x" * 201}, "body.key"),
    ({"key": 7}, "body.key"),
    ({"key": "a", "cost": 0}, "body.cost"),
    ({"key": "a", "cost": 101}, "body.cost"),
    ({"key": "a", "cost": "1"}, "body.cost"),
    ({"key": "a", "cost": 1.5}, "body.cost"),
    ({"key": "a", "costs": 1}, "body.costs"),
]


async def test_a_bad_check_is_refused_and_told_where(cluster):
    url = await cluster.start_node()
    answers = [await cluster.http.post(f"{url}/check", json=body) for body, _ in _BAD_CHECKS]
    assert {(answer.status_code, answer.json()["error"]) for answer in answers} == {(422, "invalid_request")}
    told = [(where, answer.json()["reason"]) for answer, (_, where) in zip(answers, _BAD_CHECKS, strict=True)]
    assert [reason for where, reason in told if where not in reason] == []


async def test_limits_are_set_enforced_and_taken_back_for_all_nodes(cluster):
    cluster.write_limits(window_s=30.0)
    one, two = await cluster.start_node("node-1"), await cluster.start_node("node-2")
    set_ = await cluster.http.put(f"{one}/api/limits/tenant-a", json={"limit": 1})
    assert set_.json() == {"key": "tenant-a", "limit": 1, "declared": 20, "overridden": True}
    answers = [(await cluster.http.post(f"{two}/check", json={"key": "tenant-a"})).json() for _ in range(2)]
    assert [answer["allowed"] for answer in answers] == [True, False]
    counters = (await cluster.http.get(f"{two}/api/counters")).json()
    seen = next(counter for counter in counters["counters"] if counter["key"] == "tenant-a")
    assert seen == {"key": "tenant-a", "count": 1, "limit": 1, "declared": 20, "overridden": True}
    assert counters["totals"] == {"node-2": 1}
    assert [b["key"] for b in (await cluster.http.get(f"{one}/api/blocks")).json()["blocked"]] == ["tenant-a"]
    for _ in range(2):
        back = await cluster.http.delete(f"{one}/api/limits/tenant-a")
        assert back.json() == {"key": "tenant-a", "limit": 20, "declared": 20, "overridden": False}
    assert (await cluster.http.post(f"{two}/check", json={"key": "tenant-a"})).json()["remaining"] == 18


async def test_a_limit_out_of_bounds_is_refused(cluster):
    url = await cluster.start_node()
    for body in ({"limit": -1}, {"limit": 1_000_001}, {"limit": "5"}, {"limit": 5, "x": 1}, {}, [5]):
        assert (await cluster.http.put(f"{url}/api/limits/tenant-a", json=body)).status_code == 422, body
    assert (await cluster.http.get(f"{url}/api/limits")).json()["overrides"] == {}


async def test_a_counter_is_reset_whatever_its_key_is_called(cluster):
    url = await cluster.start_node()
    key = "a/b reset?é"
    await cluster.http.post(f"{url}/check", json={"key": key, "cost": 50})
    assert not (await cluster.http.post(f"{url}/check", json={"key": key})).json()["allowed"]
    done = await cluster.http.post(f"{url}/api/counters/{quote(key, safe='')}/reset")
    assert done.json() == {"key": key, "forgotten": 50}
    assert (await cluster.http.post(f"{url}/check", json={"key": key})).json()["remaining"] == 49


async def test_the_registry_tells_the_living_from_the_dead(cluster):
    url = await cluster.start_node("node-1", heartbeat_s=0.05)
    await cluster.start_node("node-2", heartbeat_s=0.05)
    async with cluster.redis() as redis:
        await redis.hset("rl:nodes", "node-9", '{"at": 1}')
        await redis.hset("rl:nodes", "node-8", "nonsense")
    seen = {one["name"]: one for one in (await cluster.http.get(f"{url}/api/nodes")).json()["nodes"]}
    assert seen["node-1"]["facts"]["port"] == cluster.ports["node-1"]
    assert not seen["node-9"]["live"]
    assert (seen["node-8"]["live"], seen["node-8"]["age_s"]) == (False, None)
    await cluster.end("node-2", 15)
    assert "node-2" not in {one["name"] for one in (await cluster.http.get(f"{url}/api/nodes")).json()["nodes"]}


async def test_every_route_is_documented_with_its_errors(cluster):
    url = await cluster.start_node()
    spec = (await cluster.http.get(f"{url}/openapi.json")).json()
    routes = {(method, path): told for path, methods in spec["paths"].items() for method, told in methods.items()}
    assert {path for _, path in routes} == {
        *("/check", "/health", "/ready", "/metrics"),
        *("/api/nodes", "/api/counters", "/api/limits", "/api/blocks", "/api/config"),
        *("/api/counters/{key}/reset", "/api/limits/{key}"),
    }
    assert all(told["summary"] for told in routes.values())
    for method, path in (("post", "/check"), ("put", "/api/limits/{key}"), ("delete", "/api/limits/{key}")):
        answers = routes[method, path]["responses"]
        assert {answers[code]["content"]["application/json"]["schema"]["$ref"] for code in ("422", "503")} == {
            "#/components/schemas/Problem"
        }


async def test_unknown_routes_and_methods_have_the_same_kind_of_error(cluster):
    url = await cluster.start_node()
    missing, wrong = await cluster.http.get(f"{url}/nothing"), await cluster.http.get(f"{url}/check")
    assert (missing.status_code, set(missing.json())) == (404, {"error", "reason"})
    assert (wrong.status_code, set(wrong.json())) == (405, {"error", "reason"})


async def test_a_node_says_what_it_was_told_at_its_start_whatever_its_file_says_now(cluster):
    url = await cluster.start_node("node-1", on_redis_error="allow", redis_db=2)
    cluster.configure("node-1", on_redis_error="deny")
    told = (await cluster.http.get(f"{url}/api/config")).json()
    assert (told["name"], told["on_redis_error"], told["redis_db"]) == ("node-1", "allow", 2)
