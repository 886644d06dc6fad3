"""Tries to get out of a lab of containers, with the operator's own tools from where it works, and from its members."""

from __future__ import annotations

from typing import Any

import pytest

from .places import PLACES, within

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# ── containers that would reach the host; each is otherwise exactly as its service's ────────────────────────────────

FLAGS = (
    "-v /:/host", "-v $TOKEN:/data", "--mount type=bind,src=/,dst=/host", "--volumes-from $INGRESS",
    "--volumes-from ${PROJECT}_agent_1", "--mount type=tmpfs,dst=/x",
    "--mount type=volume,dst=/x,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/",
    "--privileged", "--pid host", "--pid container:$INGRESS", "--ipc host", "--uts host", "--userns host",
    "--network host", "--network bridge", "--network container:$INGRESS", "--network ${PROJECT}_edge",
    "--network ${OTHER}_lab", "--cap-add ALL", "--cap-add NET_RAW", "--device /dev/null:/dev/x",
    "--device-cgroup-rule 'a *:* rwm'", "--security-opt seccomp=unconfined", "--security-opt apparmor=unconfined",
    "--cgroup-parent /", "--runtime other", "--sysctl net.ipv4.ip_forward=1",
    "-p 127.0.0.1::8000", "-P", "--link $INGRESS:x", "--group-add 0", "--log-driver syslog", "--dns 10.0.0.1",
    "--add-host x:10.0.0.1", "-m 4g", "--pids-limit -1", "--cpus 64", "--oom-kill-disable",
    "--ulimit nofile=1000000", "--shm-size 4g", "--storage-opt size=1g", "-l operatorlab.part=harness",
    "-l com.docker.compose.project=$OTHER", "--label operatorlab.more=x",
)  # fmt: skip


@pytest.mark.parametrize("flag", FLAGS)
def test_a_container_that_would_reach_the_host(attempt: Any, flag: str) -> None:
    network = "" if flag.startswith("--network") else "$NET"
    attempt(
        f"docker run -d $LIKE {network} {flag} $IMAGE sleep 1 && docker rm -f ${{PROJECT}}_node-1_9 && echo got-out",
        refused=1,
    )


def test_the_same_container_without_such_a_flag_is_made(lab: Any) -> None:
    made = lab.run("docker create $LIKE $NET $IMAGE && docker rm ${PROJECT}_node-1_9")
    assert made.exit_code == 0, made.stderr


def test_what_is_hidden_of_the_kernel_stays_hidden(lab: Any) -> None:
    """Docker's client sends two empty lists for this, which the guard takes for nothing at all."""
    made = lab.run("docker create $LIKE $NET --security-opt systempaths=unconfined $IMAGE").stdout.strip()
    host = lab.other.engine.api.inspect_container(made)["HostConfig"]
    lab.run(f"docker rm {made}")
    assert "/proc/kcore" in host["MaskedPaths"]
    assert "/proc/sys" in host["ReadonlyPaths"]


# ── what is others', by name, id and the beginning of an id ─────────────────────────────────────────────────────────

VERBS = (
    "exec X echo got-out", "inspect --type container X", "logs X", "top X", "stats --no-stream X", "port X", "diff X",
    "kill X", "stop X", "start X", "restart X", "pause X", "rm -f X", "rename X $TOKEN", "update -m 8m X", "attach X",
    "wait X", "cp X:/etc/passwd /tmp/", "cp /etc/passwd X:/tmp/", "export X", "commit X $TOKEN",
    "network connect ${PROJECT}_lab X", "network disconnect -f ${PROJECT}_lab X",
)  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_containers_of_others(attempt: Any, verb: str) -> None:
    command = verb.replace("X", "$x")
    attempt(f"for x in $FOREIGN; do timeout 5 docker {command} </dev/null; done", refused=15)


OTHERS = {
    "images": "docker pull $TOKEN; docker build -t $TOKEN - <<< 'FROM scratch'; docker save $IMAGE; docker tag $IMAGE "
    "$TOKEN; docker rmi -f $IMAGE; docker history $IMAGE; echo | docker import - $TOKEN; docker push $IMAGE",
    "networks": "docker network create $TOKEN; docker network rm ${PROJECT}_edge ${PROJECT}_lab; "
    "docker network prune -f",
    "a way out": "for n in bridge host none ${PROJECT}_edge ${PROJECT}_view ${OTHER}_lab; do "
    "docker network connect $n $NODE && echo got-out; docker network inspect $n; done",
    "volumes": "docker volume create $TOKEN; docker volume create -d local -o type=none -o o=bind -o device=/ $TOKEN; "
    "docker volume prune -f",
    "the daemon": "docker system df; docker system prune -af; docker swarm init; docker plugin ls; "
    "docker plugin install --grant-all-permissions $TOKEN; docker secret ls; docker config ls; "
    "docker service ls; docker node ls",
    "pruning": "docker container prune -f; docker image prune -af; docker builder prune -af",
    "own members, out of bounds": "docker exec --privileged $NODE echo got-out; docker cp $NODE:/etc/passwd /tmp/; "
    "docker commit $NODE $TOKEN; docker export $NODE; docker update -m 8g --memory-swap 8g $NODE; "
    "docker update --pids-limit -1 $NODE; docker update --cpus 64 $NODE",
}  # fmt: skip
EXPECTED = {"images": 8, "networks": 3, "a way out": 12, "volumes": 3, "the daemon": 6, "pruning": 3}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_not_the_operators(attempt: Any, what: str) -> None:
    attempt(OTHERS[what], refused=EXPECTED.get(what, 7))


def test_nothing_of_others_is_told(lab: Any, attempt: Any) -> None:
    ask = (
        "docker ps -a --no-trunc; docker ps -aq --no-trunc -f label=operatorlab.part=harness; docker network ls; "
        "docker network inspect ${PROJECT}_lab; docker volume ls; docker info; docker images --no-trunc; "
        "timeout 2 docker events --since 1h; docker stats --no-stream; docker-compose ps"
    )
    said = attempt(ask)
    for name in ("ingress", "_agent", "reader", lab.other.project, lab.other.stranger[:12], lab.outsider.name):
        assert name not in said
    for path in (str(lab.audit), str(lab.folder / "outside")):
        assert path not in said


# ── Compose, with a file of one's own ───────────────────────────────────────────────────────────────────────────────

STACKS = {
    "a mount": ('volumes: ["/:/host"]', ""),
    "a volume that is a mount": ('volumes: ["v:/x"]', "volumes: {v: {driver_opts: {type: none, o: bind, device: /}}}"),
    "privileges": ("privileged: true", ""),
    "the host's network": ("network_mode: host", ""),
    "another's network namespace": ('network_mode: "container:$INGRESS"', ""),
    "the edge": ("networks: [edge]", "networks: {edge: {external: true, name: ${PROJECT}_edge}}"),
    "a network of its own": ("networks: [mine]", "networks: {mine: {name: $TOKEN}}"),
    "a port": ('ports: ["127.0.0.1::8000"]', ""),
    "a name": ("container_name: $TOKEN", ""),
    "a build": ("build: .", ""),
}


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_of_ones_own(attempt: Any, stack: str) -> None:
    service, rest = STACKS[stack]
    file = f'version: "3.5"\nservices:\n  node-9:\n    image: $IMAGE\n    {service}\n{rest}\n'
    attempt(
        f"mkdir -p /tmp/x && cd /tmp/x && echo FROM scratch > Dockerfile && cat > compose.yaml <<END\n{file}END\n"
        f"docker-compose -p $PROJECT -f compose.yaml up -d && echo got-out; rm -rf /tmp/x",
        refused=1,
    )


def test_another_labs_stack_by_its_name(lab: Any, attempt: Any) -> None:
    attempt("cd /lab; for c in ps stop kill 'rm -f' 'down -t 1' 'exec node-1 echo got-out'; do "
            "COMPOSE_PROJECT_NAME=$OTHER timeout 20 docker-compose $c; done")  # fmt: skip


# ── the API by hand ─────────────────────────────────────────────────────────────────────────────────────────────────

CURL = "curl -s -m 10 --unix-socket /run/guard/docker.sock"
POST = f"{CURL} -X POST -H 'Content-Type: application/json'"
BY_HAND = {
    "an old version": f"{CURL} http://d/v1.12/containers/json; DOCKER_API_VERSION=1.12 docker ps",
    "a version to come": f"{CURL} http://d/v1.99/containers/json",
    "dots": f"{CURL} --path-as-is http://d/v1.41/containers/../images/get",
    "dots, written otherwise": f"{CURL} --path-as-is http://d/containers/%2e%2e/%2e%2e/info",
    "two slashes": f"{CURL} --path-as-is http://d//containers/$INGRESS/json",
    "another's, at full length": f"{CURL} http://d/containers/$INGRESS_ID/json",
    "another host, absolute": f"{CURL} --request-target http://d/containers/$INGRESS/json http://d/",
    "a method in another's place": f"{CURL} -X POST -H 'X-HTTP-Method-Override: DELETE' http://d/containers/$INGRESS",
    "chunks": f"{POST} -H 'Transfer-Encoding: chunked' -d '{{\"Image\":\"x\",\"HostConfig\":{{\"Privileged\":true}}}}' "
    "http://d/containers/create?name=$TOKEN",
    "two kinds of length": f"{POST} -H 'Transfer-Encoding: chunked' -H 'Content-Length: 2' -d '{{}}' "
    "http://d/containers/$NODE/exec",
    "too large": f"head -c 3000000 /dev/zero | {POST} --data-binary @- http://d/containers/$NODE/exec",
    "another case": f"{POST} -d '{{\"cmd\":[\"id\"],\"privileged\":true}}' http://d/containers/$NODE/exec",
    "twice": f"{POST} -d '{{\"Cmd\":[\"id\"],\"Privileged\":false,\"Privileged\":true}}' "
    "http://d/containers/$NODE/exec",
    "a web socket": f"{CURL} -H 'Upgrade: websocket' -H 'Connection: Upgrade' http://d/containers/$NODE/attach/ws",
    "BuildKit's session": f"{POST} -H 'Upgrade: h2c' -H 'Connection: Upgrade' http://d/session",
    "an exec of others": f"{POST} -d '{{}}' http://d/exec/$STRANGER/start",
}  # fmt: skip


@pytest.mark.parametrize("way", BY_HAND)
def test_the_api_by_hand(attempt: Any, way: str) -> None:
    said = attempt(BY_HAND[way], refused=1)
    assert '"Id"' not in said


SECOND = "POST /containers/$STRANGER/kill HTTP/1.1\\r\\nHost: d\\r\\nContent-Length: 0\\r\\n\\r\\n"


def test_a_request_behind_another(attempt: Any) -> None:
    said = attempt(
        f'printf "GET /_ping HTTP/1.1\\r\\nHost: d\\r\\n\\r\\n{SECOND}" | nc -q1 -w5 -U /run/guard/docker.sock'
    )
    assert said.count("HTTP/1.1 ") == 1


def test_a_request_in_a_hijacked_stream(attempt: Any) -> None:
    said = attempt(
        f'printf "{SECOND}" | docker exec -i $NODE cat; '
        f'printf "{SECOND}" | timeout 3 docker attach --sig-proxy=false $NODE'
    )
    assert "HTTP/1.1 2" not in said


# ── the kernel and the host, from the operator's container and, as root, from members ───────────────────────────────

SYSCALLS = """
import ctypes
c = ctypes.CDLL(None, use_errno=True)
calls = {
    "init_module": (175, 0, 0, 0), "finit_module": (313, 0, 0, 0), "kexec_load": (246, 0, 0, 0, 0), "iopl": (172, 3),
    "reboot, of which this only says what Ctrl-Alt-Del does": (169, 0xFEE1DEAD, 672274793, 0),
    "swapoff": (168, b"/x"), "bpf": (321, 0, b"x" * 99, 72), "perf": (298, b"\\0" * 128, -1, 0, -1, 0),
    "handle": (304, 3, b"\\0" * 64, 0), "setns": (308, 0, 0), "keys": (250, 0, -3, 1), "unshare": (272, 0x10000000),
    "pivot": (155, b"/", b"/"),
}
for name, call in calls.items():
    if c.syscall(*call) != -1:
        print("got-out", name)
"""
ON_HOST = {
    "mounts": "mkdir -p /tmp/m; mount -t tmpfs x /tmp/m && echo got-out; mount --bind / /tmp/m && echo got-out; "
    "mount -t proc p /tmp/m && echo got-out; mount -o remount,rw / && echo got-out; umount /proc && echo got-out",
    "devices": "for d in 'b 8 0' 'b 254 0' 'c 1 1' 'c 1 11'; do rm -f /tmp/d; mknod /tmp/d $d && echo got-out; done; "
    "ls /dev | grep -E '^(sd|vd|nvme|mem|kmsg|loop|dm-|kvm|fuse)' && echo got-out",
    "kernel settings": "for f in kernel/core_pattern kernel/hostname kernel/modprobe net/ipv4/ip_forward "
    "vm/drop_caches kernel/randomize_va_space; do (echo x > /proc/sys/$f) && echo got-out; done",
    "sysrq": "(echo h > /proc/sysrq-trigger) && echo got-out",
    "control groups": "for f in $(find /sys/fs/cgroup -name release_agent -o -name memory.limit_in_bytes -o -name "
    "pids.max -o -name devices.allow); do (echo 9999999 > $f) && echo got-out; done; mkdir /sys/fs/cgroup/memory/x && "
    "echo got-out",
    "sysfs": "(echo x > /sys/kernel/uevent_helper) && echo got-out; (echo 1 > /sys/kernel/profiling) && echo got-out",
    "kernel memory and log": "head -c1 /proc/kcore | grep -q . && echo got-out; head -c1 /dev/kmsg && echo got-out; "
    "dmesg && echo got-out; head -c1 /dev/mem && echo got-out",
    "namespaces": "unshare -Ur true && echo got-out; unshare -m true && echo got-out; "
    "nsenter -t 1 -m -p true && echo got-out; chroot / true && echo got-out",
    "files of the host": "cat $CANARY && echo got-out; cat /proc/1/root$CANARY && echo got-out; cat $AUDIT && "
    "echo got-out; touch $LANDING/x && echo got-out; ls /var/lib/docker && echo got-out; "
    "ls /var/run/docker.sock /run/docker.sock && echo got-out; find / -xdev -name 'audit.db*' | grep . && echo got-out",
    "processes of the host": "grep -la dockerd /proc/[0-9]*/comm && echo got-out; "
    "cat /proc/*/cmdline | tr '\\0' '\\n' | grep '[o]peratorlab.sandbox.guard' && echo got-out",
    "the key": "cat /proc/*/environ | tr '\\0' '\\n'; env; "
    "cat /proc/*/cmdline | grep -aE '[s]k-ant-canary-[0-9a-f]{24}' && echo got-out; "
    "grep -rsl sk-ant-canary- /etc /lab /run /opt /root /home /srv /var && echo got-out",
    "identity": "hostname x && echo got-out; date -s now && echo got-out; nice -n -5 true 2>&1 | grep -q . || "
    "echo got-out; su nobody -s /bin/true && echo got-out",
    "the image": "touch /usr/bin/x && echo got-out; (echo x >> /etc/passwd) && echo got-out; "
    "cp /bin/sh /tmp/sh && chmod 4755 /tmp/sh && /tmp/sh -c 'echo got-out'; rm -f /tmp/sh",
    "set-uid": "find / -xdev -perm -4000 2>/dev/null | head -3 | while read p; do echo $p; done; "
    "grep CapEff /proc/self/status | grep -v 0000000000000000 && echo got-out; "
    "grep NoNewPrivs /proc/self/status | grep -v '1$' && echo got-out",
}  # fmt: skip


@pytest.mark.parametrize("what", ON_HOST)
@pytest.mark.parametrize("place", PLACES)
def test_the_host(attempt: Any, place: str, what: str) -> None:
    attempt(within(place, ON_HOST[what]))


@pytest.mark.parametrize("place", ["agent", "node-1"])
def test_calls_of_the_kernel(attempt: Any, place: str) -> None:
    attempt(within(place, SYSCALLS, "python3 -"))


def test_the_guards_socket_and_the_desk(lab: Any, attempt: Any) -> None:
    attempt(
        "rm -f /run/guard/docker.sock && echo got-out; mv /run/guard/docker.sock /run/guard/x && echo got-out; "
        "touch /run/guard/x && echo got-out; mount -o remount,rw /run/guard && echo got-out; ls -a /run/guard /run; "
        "chmod 777 /run/guard && echo got-out; echo x >> /lab/.env && echo got-out; "
        "rm /lab/compose.yaml && echo got-out"
    )
