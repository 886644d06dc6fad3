"""What the subject hands to a deployment and to an operator fits what it runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

from operatorlab.subject import Site
from subjects.ratelimiter.briefing import brief
from subjects.ratelimiter.limits import DECLARED, DEFAULT, WINDOW_S, declared_limit
from subjects.ratelimiter.service.config import DeclaredLimits, NodeConfig
from subjects.ratelimiter.subject import RateLimiter

_SUBJECT = RateLimiter()
_PORTS = {name: 20_000 + number for number, name in enumerate(_SUBJECT.ports)}
_BLUEPRINT = _SUBJECT.blueprint(Site("run", Path("/nowhere"), _PORTS))


def test_each_node_is_configured_to_reach_redis_through_its_own_link():
    for node in ("node-1", "node-2", "node-3"):
        config = NodeConfig.model_validate_json(_BLUEPRINT.files[f"etc/{node}.json"])
        assert (config.name, config.port, config.redis_port) == (node, _PORTS[node], _PORTS[f"link-{node}"])
        assert config.on_redis_error == "deny"
    assert {(link.source, link.target, link.listen, link.upstream) for link in _BLUEPRINT.links} == {
        (node, "redis", f"link-{node}", "redis") for node in ("node-1", "node-2", "node-3")
    }


def test_the_limits_file_says_what_the_subject_declares():
    limits = DeclaredLimits.model_validate_json(_BLUEPRINT.files["etc/limits.json"])
    assert (limits.window_s, limits.default, dict(limits.limits)) == (WINDOW_S, DEFAULT, dict(DECLARED))
    assert {key: limits.of(key) for key in (*DECLARED, "x")} == {key: declared_limit(key) for key in (*DECLARED, "x")}


def test_redis_starts_before_the_nodes_and_only_listens_here():
    order = {process.name: process.order for process in _BLUEPRINT.processes}
    assert order["redis"] < min(order[node] for node in order if node != "redis")
    conf = _BLUEPRINT.files["etc/redis.conf"]
    assert f"port {_PORTS['redis']}\n" in conf
    assert "bind 127.0.0.1\n" in conf


def test_the_briefing_tells_addresses_and_limits_and_no_fault():
    text = brief("processes", {member.name: ("127.0.0.1", _PORTS[member.name]) for member in _SUBJECT.members})
    for member in _SUBJECT.members:
        assert f"{member.name}: 127.0.0.1:{_PORTS[member.name]}" in text
    for key, limit in DECLARED.items():
        assert f"{key} {limit}" in text
    assert "{" not in text.replace('{"key": "tenant-a"}', "").replace('{"limit": N}', "")
    for fault in _SUBJECT.faults:
        assert fault.name not in text


def test_every_file_is_named_in_the_briefing_by_its_folder():
    text = brief("processes", {member.name: ("127.0.0.1", _PORTS[member.name]) for member in _SUBJECT.members})
    assert {re.sub(r"\d", "1", path) for path in _BLUEPRINT.files} <= set(re.findall(r"etc/[\w./-]+\.\w+", text))
    assert all(json.loads(body) for path, body in _BLUEPRINT.files.items() if path.endswith(".json"))


def test_the_briefing_of_containers_tells_names_and_tools_and_no_fault():
    text = brief("compose", {"node-1": ("node-1", 8000), "node-2": ("node-2", 8000), "redis": ("redis", 6379)})
    assert "- node-2: node-2:8000\n" in text
    assert "redis:6379" in text
    for told in ("compose.yaml", "docker compose up -d", "docker kill -s HUP", "this lab only", "/lab/etc/node-1.json"):
        assert told in text
    for key, limit in DECLARED.items():
        assert f"{key} {limit}" in text
    for gone in ("supervisorctl", "127.0.0.1", "etc/redis.conf", "{{", "}}"):
        assert gone not in text
    for fault in _SUBJECT.faults:
        assert fault.name not in text
