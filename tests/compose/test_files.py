"""The compose file and what goes into the images: closed, limited, pinned, and the same system as on `processes`."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import operatorlab
from operatorlab.subject import Site
from subjects.ratelimiter.service.metrics import NodeMetrics
from subjects.ratelimiter.subject import RateLimiter

from .conftest import STACK, Stack

_SCHEMA = Path("/usr/lib/python3/dist-packages/compose/config/compose_spec.json")
COMPOSE: dict[str, Any] = yaml.safe_load((STACK / "compose.yaml").read_text())
PUBLISHED: dict[str, Any] = yaml.safe_load((STACK / "published.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"] | PUBLISHED["services"]
NODES = ("node-1", "node-2", "node-3")


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_closed_limited_and_pinned(name: str):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit", "stop_grace_period"} <= set(service)
    assert service["restart"] == "no"
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])
    assert all(re.search(r":size=\d+m\b", tmpfs) for tmpfs in service["tmpfs"])
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"])
    assert service["labels"]["operatorlab.part"] == ("harness" if name == "ingress" else "system")
    assert "test" in service["healthcheck"] or name == "load"
    assert not {"container_name", "volumes", "privileged", "network_mode", "pid", "cap_add", "devices"} & set(service)


def test_only_the_way_in_has_ports_and_they_are_of_loopback():
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["ingress"]
    assert all(port.startswith("127.0.0.1::") for port in SERVICES["ingress"]["ports"])


def test_the_network_is_internal_and_small_and_the_host_has_no_address_on_it():
    (network,) = COMPOSE["networks"].values()
    assert network["internal"] is True
    assert network["driver_opts"] == {"com.docker.network.bridge.inhibit_ipv4": "true"}
    assert network["ipam"]["config"] == [{"subnet": "${OPERATORLAB_SUBNET:-10.213.208.0/27}"}]


def test_our_images_have_the_version_of_the_package():
    ours = [service["image"] for service in SERVICES.values() if service["image"].startswith("operatorlab/")]
    assert {image.partition(":")[2] for image in ours} == {operatorlab.__version__}


@pytest.mark.parametrize("file", ["compose.yaml", "published.yaml"])
def test_it_is_valid_by_the_compose_specification(file: str):
    if not _SCHEMA.is_file():
        pytest.skip("no schema of the Compose specification: it comes with Debian's docker-compose")
    jsonschema.Draft201909Validator(json.loads(_SCHEMA.read_text())).validate(
        yaml.safe_load((STACK / file).read_text())
    )


def test_docker_compose_accepts_it(docker_engine: None):
    stack = Stack("any", "10.213.209.0/27", files=("compose.yaml", "published.yaml"))
    found = yaml.safe_load(stack.compose("--profile", "load", "--profile", "grafana", "config"))
    assert set(found["services"]) == set(SERVICES)
    assert {service["labels"]["operatorlab.run"] for service in found["services"].values()} == {"any"}


def test_what_the_harness_reads_is_the_subject():
    told, blueprint = COMPOSE["x-operatorlab"], _blueprint()
    assert set(told["members"]) == {member.name for member in RateLimiter.members}
    assert {(link["source"], link["target"]) for link in told["links"]} == {
        (link.source, link.target) for link in blueprint.links
    }
    assert {link["service"] for link in told["links"]} | set(told["members"]) | set(told["http"]) < set(SERVICES)


def _blueprint():
    return RateLimiter().blueprint(Site(run_id="run", root=Path("/nowhere"), ports=dict.fromkeys(RateLimiter.ports, 1)))


@pytest.mark.parametrize("node", NODES)
def test_a_node_is_configured_as_on_processes_but_for_hosts_and_ports(node: str):
    here = json.loads((STACK / "etc" / f"{node}.json").read_text())
    there = json.loads(_blueprint().files[f"etc/{node}.json"])
    where = {"host": "0.0.0.0", "port": 8000, "redis_host": f"link-{node}", "redis_port": 6379}
    assert here == there | where
    assert SERVICES[node]["command"] == ["python", "-P", "-m", "subjects.ratelimiter.service", f"etc/{node}.json"]


def test_the_declared_limits_are_those_of_the_subject():
    assert (STACK / "etc" / "limits.json").read_text() == _blueprint().files["etc/limits.json"]


def test_redis_is_set_as_on_processes_but_for_its_network_and_its_append_only_file():
    lines = [line for line in _blueprint().files["etc/redis.conf"].splitlines() if not line.startswith("#")]
    there = {name: value for name, _, value in (line.partition(" ") for line in lines)}
    words = " ".join(SERVICES["redis"]["command"].split()).removeprefix("redis-server --").split(" --")
    here = {name: value for name, _, value in (word.partition(" ") for word in words)}
    assert here == there | {
        "bind": "0.0.0.0",
        "port": "6379",
        "protected-mode": "no",  # its network is closed
        "dir": "/data",
        "appendonly": "yes",
        "appendfsync": "no",
        "auto-aof-rewrite-min-size": "4mb",
    }


@pytest.mark.parametrize("node", NODES)
def test_a_link_leads_from_its_node_to_redis(node: str):
    *_, file, rules = SERVICES[f"link-{node}"]["command"]
    assert file == f"etc/links/{node}-redis.json"
    expected = {"source": node, "target": "redis", "listen": 6379, "upstream": 6379}
    assert json.loads(rules) == expected | {"host": "0.0.0.0", "upstream_host": "redis"}


def expressions() -> list[str]:
    """Every expression of the alert rules and of the dashboard."""
    groups = yaml.safe_load((STACK / "prometheus" / "rules.yml").read_text())["groups"]
    board = json.loads((STACK / "grafana" / "dashboards" / "ratelimiter.json").read_text())
    rules = [rule["expr"] for group in groups for rule in group["rules"]]
    return rules + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_rules_and_dashboard_ask_only_for_what_a_node_tells(expression: str):
    told = set(re.findall(r"^(\w+)", NodeMetrics("node-1").exposition().decode(), re.MULTILINE)) | {"up"}
    asked = set(re.findall(r"\b(?:ratelimiter|process)_\w+|\bup\b", expression))
    assert asked
    assert asked <= told


def test_prometheus_scrapes_every_node():
    found = yaml.safe_load((STACK / "prometheus" / "prometheus.yml").read_text())
    (targets,) = [
        job["static_configs"][0]["targets"] for job in found["scrape_configs"] if job["job_name"] == "ratelimiter"
    ]
    assert targets == [f"{node}:{COMPOSE['x-operatorlab']['members'][node]}" for node in NODES]


def test_grafana_gets_its_dashboard_and_its_source_by_the_names_they_have():
    folder = STACK / "grafana"
    board = json.loads((folder / "dashboards" / "ratelimiter.json").read_text())
    (source,) = yaml.safe_load((folder / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == f"http://prometheus:{COMPOSE['x-operatorlab']['http']['prometheus']}"
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) >= 8
    spots = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
    assert len(set(spots)) == len(spots)


def _promtool(*script: str, given: str = "") -> str:
    """What it prints, in Prometheus' image; the test file it is given is /tmp/given.yml."""
    command = [
        "docker",
        "run",
        "--rm",
        "-i",
        "--network",
        "none",
        "--entrypoint",
        "sh",
        SERVICES["prometheus"]["image"],
    ]
    shell = [*command, "-c", f"cat > /tmp/given.yml && /bin/promtool {' '.join(script)}"]
    done = subprocess.run(shell, input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_configuration_and_rules(images: None):
    assert "7 rules found" in _promtool("check", "config", "/etc/prometheus/prometheus.yml")


def test_each_trouble_raises_its_alert_and_health_raises_none(images: None):
    tests = Path(__file__).with_name("alerts.yml").read_text()
    assert "SUCCESS" in _promtool("test", "rules", "/tmp/given.yml", given=tests)
