"""An operator who may only look: reads work, and whatever would change anything does not."""

from __future__ import annotations

from typing import Any

import pytest

from operatorlab.sandbox import Mode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

READS = (
    "docker ps --format '{{.Names}}' | grep node-1", "docker logs --tail 5 $NODE", "docker inspect $NODE",
    "docker top $NODE",
    "docker stats --no-stream $NODE", "docker network inspect ${PROJECT}_lab", "docker info", "docker version",
    "docker diff $NODE", "docker port $NODE", "docker images", "docker-compose ps", "curl -sf http://node-1:8000/ready",
    "curl -sf http://node-2:8000/metrics", "curl -sf http://node-3:8000/api/limits",
    "curl -sfI http://prometheus:9090/-/healthy",
    "curl -sf 'http://prometheus:9090/api/v1/query?query=up' | jq -e .data",
)  # fmt: skip
CURL = "curl -s -m 10 -o /tmp/said -w 'status %{http_code}\\n'"
DOCKER = (
    "exec $NODE echo got-out", "kill $NODE", "stop $NODE", "restart $NODE", "pause $NODE", "rm -f $NODE",
    "update -m 64m $NODE",
    "rename $NODE ${PROJECT}_node-1_2", "attach --no-stdin $NODE", "run -d $LIKE $NET $IMAGE",
    "cp $NODE:/etc/passwd /tmp/",
    "network disconnect ${PROJECT}_lab $NODE", "network connect ${PROJECT}_lab $NODE",
    "compose up -d --force-recreate node-1",
    "compose down", "wait $NODE", "exec $INGRESS echo got-out", "logs $INGRESS", "commit $NODE $TOKEN",
    "create -v /:/x $IMAGE",
)  # fmt: skip
REFUSED_BY_READER = {
    "POST": "-X POST http://node-1:8000/check -d '{}'",
    "PUT": "-X PUT http://node-1:8000/api/limits/x -d '{}'",
    "DELETE": "-X DELETE http://node-1:8000/api/limits/x",
    "a write to Prometheus": "-X POST http://prometheus:9090/-/quit",
    "a GET with a body": "-X GET http://node-1:8000/check -d '{}'",
    "a chunked GET": "-X GET -H 'Transfer-Encoding: chunked' -d '{}' http://node-1:8000/check",
    "an absolute target": "--request-target http://node-1:8000/api/nodes http://node-1:8000/",
    "another host": "-H 'Host: redis' http://node-1:8000/",
    "another port": "-H 'Host: prometheus:9090' http://node-1:8000/",
    "a host with a user": "-H 'Host: x@node-1:8000' http://node-1:8000/",
    "another method in lower case": "-X post http://node-1:8000/check",
    "CONNECT": "-X CONNECT http://node-1:8000/",
    "an upgrade": "-H 'Upgrade: h2c' -H 'Connection: Upgrade' http://node-1:8000/",
}


@pytest.mark.parametrize("read", READS)
def test_reads_work(lab: Any, read: str) -> None:
    done = lab.run(f"set -o pipefail; {read}", Mode.OBSERVE)
    assert done.exit_code == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", DOCKER)
def test_docker_changes_nothing(attempt: Any, lab: Any, command: str) -> None:
    before = lab.runner.run(lab.deployment.freshness())
    attempt(f"timeout 20 docker {command}", mode=Mode.OBSERVE, refused=1)
    assert lab.runner.run(lab.deployment.freshness()) == before


@pytest.mark.parametrize("way", REFUSED_BY_READER)
def test_services_are_not_written_to(attempt: Any, way: str) -> None:
    said = attempt(f"{CURL} {REFUSED_BY_READER[way]}", mode=Mode.OBSERVE)
    assert "status 4" in said


def test_a_second_request_is_not_passed_on(attempt: Any) -> None:
    one = "GET /ready HTTP/1.1\\r\\nHost: node-1:8000\\r\\n\\r\\n"
    two = "POST /check HTTP/1.1\\r\\nHost: node-1:8000\\r\\nContent-Length: 0\\r\\n\\r\\n"
    said = attempt(f'printf "{one}{two}" | nc -q2 -w5 node-1 8000', mode=Mode.OBSERVE)
    assert said.count("HTTP/1.1 ") == 1


DIRECT = """
import socket, sys
for one in sys.argv[1:]:
    host, port = one.rsplit(",", 1)
    try:
        socket.create_connection((host, int(port)), 2).close()
        print("got-out", one)
    except OSError:
        pass
"""


def test_members_are_not_reached_past_the_reader(lab: Any, attempt: Any) -> None:
    network = f"{lab.deployment.run_id}_lab"
    found = lab.runner.run(lab.deployment.containers.all())
    on = [one.attrs["NetworkSettings"]["Networks"].get(network) for one in found]
    addresses = [each["IPAddress"] for each in on if each and each["IPAddress"]]
    assert len(addresses) > 8
    reader = lab.harness("reader").attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
    targets = [f"{a},{port}" for a in addresses if a != reader for port in (6379, 8000, 9090)]
    names = "redis,6379 node-1,6379 link-node-1,6379 $OUTSIDER,8000 $OTHER_NODE,80 $EDGE,7000"
    host = "$(for a in $HOST4 $HOST6 $GATEWAYS; do echo $a,$PORT; done)"
    command = f"xargs -n 1 -P 40 timeout 3 python3 -c '{DIRECT}' <<< '{' '.join(targets)}'"
    attempt(command, mode=Mode.OBSERVE)
    attempt(
        f"for t in {names} {host}; do echo $t; done | xargs -n 1 -P 40 timeout 3 python3 -c '{DIRECT}'",
        mode=Mode.OBSERVE,
    )


def test_many_held_connections_leave_the_nodes_alone(lab: Any, attempt: Any) -> None:
    hold = (
        'import socket, time\\nheld = [socket.create_connection(("node-1", 8000)) for _ in range(300)]\\n'
        '[one.sendall(b"GET /ready HTTP/1.1\\\\r\\\\n") for one in held]\\ntime.sleep(2)'
    )
    attempt(f"python3 -c $'{hold}'", mode=Mode.OBSERVE)
    assert lab.run("curl -sf --retry 5 --retry-all-errors http://node-1:8000/ready", Mode.OBSERVE).exit_code == 0
