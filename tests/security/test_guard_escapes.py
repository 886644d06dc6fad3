"""Tries to get out through the guard. Each must fail, do nothing, and be on record."""

import contextlib
import json
import socket

import pytest

from operatorlab.audit import AuditStore

LIMITS = {"Memory": 32 * 1024 * 1024, "NanoCpus": 500_000_000, "PidsLimit": 50, "MemorySwap": 64 * 1024 * 1024}
LOGS = {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}


def good_body(lab):
    """A body that the guard does accept, so that each try below fails for its own reason."""
    host = {
        **LIMITS, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"], "ReadonlyRootfs": True, "Init": True,
        "Tmpfs": {"/tmp": "size=1m"}, "LogConfig": LOGS, "NetworkMode": f"{lab.project}_lab",
    }  # fmt: skip
    return {
        "Image": "operatorlab-test/tiny:1",
        "Cmd": ["sleep", "1"],
        "Labels": {
            "com.docker.compose.project": lab.project, "com.docker.compose.service": "node-1",
            "operatorlab.part": "system", "operatorlab.run": lab.project,
        },
        "HostConfig": host,
        "NetworkingConfig": {"EndpointsConfig": {f"{lab.project}_lab": {"Aliases": ["x"]}}},
    }  # fmt: skip


def talk(guarded, raw):
    """What comes back for the bytes `raw`: the status and everything after the head."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(guarded.socket))
        said = b""
        with contextlib.suppress(BrokenPipeError):  # it may have its answer before all of it was said
            client.sendall(raw)
        with contextlib.suppress(ConnectionResetError):
            while chunk := client.recv(65536):
                said += chunk
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body.decode()


def ask(method, target, body=None, headers=""):
    """The bytes of a request; `body` is text or JSON data."""
    content = b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    length = f"Content-Length: {len(content)}\r\nContent-Type: application/json\r\n" if body is not None else ""
    return f"{method} {target} HTTP/1.1\r\nHost: d\r\n{headers}{length}\r\n".encode() + content


def world(lab):
    """Everything that a try could have made or changed, as the daemon tells it."""
    api = lab.engine.api
    things = [lab.stranger, *(lab.id(name) for name in ("node-1", "node-2", "node-3", "keeper"))]
    states = []
    for each in map(api.inspect_container, things):
        networks = sorted(each["NetworkSettings"]["Networks"])
        limits = {name: each["HostConfig"][name] for name in ("Memory", "NanoCpus", "PidsLimit", "RestartPolicy")}
        states.append((each["Name"], each["State"], each["ExecIDs"], networks, limits))
    names = sorted(name for each in api.containers(all=True) for name in each["Names"] if lab.project in name)
    return states, names, [each["Name"] for each in api.volumes()["Volumes"] or () if lab.project in each["Name"]]


@pytest.fixture
def refused(guarded, tiny_lab):
    """Sends bytes, and checks that they are refused with `status`, change nothing and are on record."""

    def check(raw, *status):
        with AuditStore(guarded.audit, readonly=True) as audit:
            seen = audit.events()[-1].seq
        before = world(tiny_lab)
        got, body = talk(guarded, raw)
        assert got in status, body
        assert world(tiny_lab) == before
        with AuditStore(guarded.audit, readonly=True) as audit:
            told = audit.events(run=guarded.run, after_seq=seen)
        assert [event.kind for event in told] == ["guard.refused"]
        assert told[0].payload["why"]
        return json.loads(body)["message"]

    return check


# ── others ─────────────────────────────────────────────────────────────────────────────────────

THINGS = {
    "stranger's id": lambda lab: lab.stranger,
    "stranger's prefix": lambda lab: lab.stranger[:12],
    "stranger's name": lambda lab: f"stranger-{lab.project}",
    "keeper's id": lambda lab: lab.id("keeper"),
    "keeper's prefix": lambda lab: lab.id("keeper")[:8],
    "keeper's name": lambda lab: f"{lab.project}_keeper_1",
    "nobody": lambda lab: "no-such-thing",
}
VERBS = (
    ("GET", "/json"), ("GET", "/logs?stdout=1"), ("GET", "/top"), ("GET", "/stats?stream=0"), ("POST", "/stop"),
    ("POST", "/kill"), ("POST", "/exec"), ("POST", "/attach?stream=1&stdout=1"), ("POST", "/update"), ("DELETE", ""),
    ("POST", "/wait"),
)  # fmt: skip


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize(("method", "verb"), VERBS)
def test_containers_of_others_are_not_there(refused, tiny_lab, thing, method, verb):
    name = THINGS[thing](tiny_lab)
    body = {"Cmd": ["true"]} if verb in ("/exec", "/update") else None
    assert refused(ask(method, f"/v1.41/containers/{name}{verb}", body), 404) == f"No such container: {name}"


def test_what_is_hidden_reads_as_the_daemon_says_of_what_is_not_there(tiny_lab, guarded):
    nothing = tiny_lab.engine.api._get(tiny_lab.engine.api._url("/containers/no-such-thing/json")).json()
    assert talk(guarded, ask("GET", "/containers/no-such-thing/json"))[1].strip() == json.dumps(nothing)
    network = tiny_lab.engine.api._get(tiny_lab.engine.api._url("/networks/no-such-net")).json()
    for name in ("no-such-net", "bridge"):
        said = json.loads(talk(guarded, ask("GET", f"/networks/{name}"))[1])
        assert said["message"].replace(name, "no-such-net") == network["message"]


def test_an_exec_made_past_the_guard_is_not_there(refused, tiny_lab):
    for container in (tiny_lab.stranger, tiny_lab.id("node-1")):
        made = tiny_lab.engine.api.exec_create(container, ["true"])["Id"]
        for raw in (ask("POST", f"/exec/{made}/start", {}), ask("GET", f"/exec/{made}/json")):
            refused(raw, 404)


@pytest.mark.parametrize("name", ["bridge", "host", "none"])
@pytest.mark.parametrize("verb", ["connect", "disconnect"])
def test_networks_of_others_are_not_there(refused, tiny_lab, name, verb):
    refused(ask("POST", f"/networks/{name}/{verb}", {"Container": tiny_lab.id("node-1")}), 404)


@pytest.mark.parametrize("verb", ["connect", "disconnect"])
def test_containers_of_others_are_not_moved(refused, tiny_lab, verb):
    for container in (tiny_lab.stranger, tiny_lab.id("keeper"), ""):
        refused(ask("POST", f"/networks/{tiny_lab.project}_lab/{verb}", {"Container": container}), 404)


def test_lists_hold_nothing_of_others_whatever_filters_are_given(guarded, tiny_lab):
    for filters in ('{"label":[]}', '{"name":["stranger"]}', '{"label":["operatorlab.part=harness"]}', "", "{}"):
        query = f"?all=1&filters={filters}".replace('"', "%22").replace("=harness", "%3Dharness")
        status, body = talk(guarded, ask("GET", f"/containers/json{query}"))
        assert status == 200
        assert tiny_lab.stranger not in body
        assert "keeper" not in body
    shown = json.loads(talk(guarded, ask("GET", "/images/json"))[1])
    assert [image["RepoTags"] for image in shown] == [["operatorlab-test/tiny:1"]]
    assert [each["Name"] for each in json.loads(talk(guarded, ask("GET", "/networks"))[1])] == [
        f"{tiny_lab.project}_lab"
    ]


@pytest.mark.parametrize("key", ["before", "since", "ancestor", "volume", "unheard-of"])
def test_filters_that_would_tell_of_others_are_refused(refused, tiny_lab, key):
    refused(ask("GET", f"/containers/json?filters=%7B%22{key}%22:%5B%22{tiny_lab.stranger}%22%5D%7D"), 403)


# ── ways there are none for ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/build"), ("POST", "/images/create?fromImage=alpine"), ("POST", "/images/load"), ("POST", "/commit"),
        ("DELETE", "/images/operatorlab-test/tiny:1"), ("POST", "/images/operatorlab-test/tiny:1/tag?repo=x"),
        ("POST", "/volumes/create"), ("DELETE", "/volumes/x"), ("POST", "/volumes/prune"), ("POST", "/networks/create"),
        ("POST", "/networks/prune"), ("POST", "/containers/prune"), ("POST", "/swarm/init"), ("GET", "/secrets"),
        ("POST", "/plugins/pull"), ("POST", "/auth"), ("POST", "/session"), ("POST", "/grpc"), ("GET", "/system/df"),
        ("POST", "/services/create"), ("GET", "/distribution/alpine/json"), ("GET", "/metrics"), ("PUT", "/_ping"),
        ("GET", "/debug/pprof/"), ("TRACE", "/_ping"), ("GET", "/images/get"), ("GET", "/images/search?term=x"),
        ("OPTIONS", "/containers/json"), ("GET", "/configs"), ("GET", "/nodes"), ("GET", "/tasks"), ("POST", "/"),
    ],
)  # fmt: skip
def test_there_is_no_way_for(refused, method, target):
    refused(ask(method, target), 403)


@pytest.mark.parametrize(
    ("method", "verb"),
    [("GET", "archive?path=/"), ("PUT", "archive?path=/"), ("GET", "export"), ("GET", "attach/ws"), ("POST", "copy"),
     ("GET", "checkpoints"), ("POST", "start?checkpoint=x"), ("GET", "top?ps_args=axe"), ("POST", "rename?name=free")],
)  # fmt: skip
def test_there_is_no_way_on_an_own_container_for(refused, tiny_lab, method, verb):
    refused(ask(method, f"/containers/{tiny_lab.id('node-1')}/{verb}"), 403)


# ── writing it oddly ───────────────────────────────────────────────────────────────────────────

ODD_TARGETS = (
    "//containers/{}/json", "/containers//{}/json", "/containers/./{}/json", "/containers/x/../{}/json",
    "/v1.41/../containers/{}/json", "/containers/%7B{}/json", "/%63ontainers/{}/json", "/containers/{}%2fjson",
    "/containers/%2e%2e/{}/json", "http://docker/containers/{}/json", "/v1.41//containers/{}/json",
    "/containers/{}/json?size=0&size=1", "/containers/{}/json?size=%zz", "/containers/{}/json#x",
    "/v1.24/containers/{}/json", "/v1.12/containers/{}/json", "/v1.99/containers/{}/json", "/v2.0/containers/{}/json",
    "\\containers\\{}\\json", "/containers/{}/json?size=%ff", "/containers/{}/json?a;b",
)  # fmt: skip


@pytest.mark.parametrize("target", ODD_TARGETS)
def test_targets_that_are_not_written_plainly(refused, tiny_lab, target):
    refused(ask("GET", target.format(tiny_lab.id("node-1"))), 400)


@pytest.mark.parametrize(
    "target",
    ["/V1.41/containers/{}/json", "/Containers/{}/json", "/containers/{}/json/", "*", "/v01.41/containers/{}/json"],
)
def test_targets_that_are_nearly_right(refused, tiny_lab, target):
    refused(ask("GET", target.format(tiny_lab.id("node-1"))), 400, 403)


@pytest.mark.parametrize(
    "head",
    [
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nContent-Length: 0, 1\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nContent-Length: +0\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: 1\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nHost: e\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.0\r\nHost: d\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\n\r\n",
        "POST  /containers/{}/stop HTTP/1.1\r\nHost: d\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
        "POST /containers/{}/stop HTTP/1.1\r\nHost: d\r\nX: \x00\r\n\r\n",
        "\x16\x03\x01 hello\r\n\r\n",
    ],
)  # fmt: skip
def test_requests_that_could_be_read_in_two_ways(refused, tiny_lab, head):
    refused(head.format(tiny_lab.id("node-1")).encode(), 400)


def test_a_head_or_body_without_end_is_refused(refused, tiny_lab):
    id_ = tiny_lab.id("node-1")
    refused(ask("GET", "/_ping", headers=f"X: {'x' * 70_000}\r\n"), 400)
    refused(ask("POST", f"/containers/{id_}/exec", json.dumps({"Cmd": ["x" * 1_100_000]})), 413)
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    head = f"POST /containers/{id_}/exec HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
    refused(head.encode() + chunk * 17, 413)


def test_a_second_request_behind_the_first_is_not_heard(guarded, tiny_lab):
    before = world(tiny_lab)
    status, body = talk(guarded, ask("GET", "/_ping") + ask("POST", f"/containers/{tiny_lab.id('node-1')}/stop"))
    assert (status, body) == (200, "OK")
    assert world(tiny_lab) == before


def test_a_second_request_in_a_body_does_not_reach_the_daemon(guarded, tiny_lab):
    inner = ask("POST", f"/containers/{tiny_lab.stranger}/stop").decode()
    before = world(tiny_lab)
    status, _ = talk(guarded, ask("GET", f"/containers/{tiny_lab.id('node-1')}/json", inner))
    assert status == 200
    assert world(tiny_lab) == before


# ── bodies ─────────────────────────────────────────────────────────────────────────────────────

HOST = {
    "Binds": ["/:/host"], "Privileged": True, "CapAdd": ["SYS_ADMIN"], "PidMode": "host", "IpcMode": "host",
    "UTSMode": "host", "UsernsMode": "host", "CgroupnsMode": "host-", "NetworkMode": "host", "VolumesFrom": ["x"],
    "Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}],
    "DeviceCgroupRules": ["a *:* rwm"], "DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}],
    "Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}], "CapDrop": [],
    "SecurityOpt": ["seccomp=unconfined"],
    "ReadonlyRootfs": False, "CgroupParent": "/", "Sysctls": {"kernel.msgmax": "1"}, "ExtraHosts": ["a:1.2.3.4"],
    "Dns": ["1.1.1.1"], "PortBindings": {"1/tcp": [{"HostPort": "1"}]}, "PublishAllPorts": True, "Runtime": "evil",
    "LogConfig": {"Type": "syslog", "Config": {"syslog-address": "tcp://127.0.0.1:1"}}, "Memory": 0, "NanoCpus": 0,
    "PidsLimit": -1, "MemorySwap": -1, "Tmpfs": {"/tmp": "size=9g"}, "StorageOpt": {"size": "9g"}, "ShmSize": 1 << 40,
    "OomKillDisable": True, "OomScoreAdj": -999, "Ulimits": [{"Name": "core", "Hard": -1, "Soft": -1}],
    "Links": ["x:y"], "GroupAdd": ["0"], "VolumeDriver": "x", "ContainerIDFile": "/etc/x", "Isolation": "x",
    "Annotations": {"x": "y"}, "MaskedPaths": ["x"], "ReadonlyPaths": ["x"], "Cgroup": "container:x", "Unheard": 1,
    "KernelMemory": 1, "CpuRealtimePeriod": 1, "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1}],
    "binds": ["/:/host"], "PRIVILEGED": True, "mountſ": [{"Type": "bind"}], "NetworkMode ": "host",
    "CpuQuota": 400_000,
}  # fmt: skip


@pytest.mark.parametrize("field", HOST)
def test_a_container_that_would_reach_the_host(refused, tiny_lab, field):
    body = good_body(tiny_lab)
    body["HostConfig"][field] = HOST[field]
    for version in ("", "/v1.25", "/v1.41"):
        refused(ask("POST", f"{version}/containers/create?name={tiny_lab.project}_node-1_9", body), 400, 403)


TOP = {
    "Volumes": {"/data": {}, "/host": {"x": 1}}, "Image": "python:3.11-slim-bookworm",
    "MacAddress": "02:00:00:00:00:01",
    "Privileged": True, "Binds": ["/:/host"], "OnBuild": ["RUN x"], "NetworkDisabled": True, "hostconfig": {"a": 1},
    "HostConfig": None, "Labels": {}, "labels": {"a": "b"},
    "NetworkingConfig": {"EndpointsConfig": {"bridge": {}}},
}  # fmt: skip


@pytest.mark.parametrize("field", TOP)
def test_a_container_that_is_not_one_of_the_labs(refused, tiny_lab, field):
    body = {**good_body(tiny_lab), field: TOP[field]}
    refused(ask("POST", f"/containers/create?name={tiny_lab.project}_node-1_9", body), 400, 403)


LABELS = {
    "com.docker.compose.service": "keeper", "com.docker.compose.project": "other", "operatorlab.part": "harness",
    "operatorlab.run": "other", "operatorlab.more": "x",
}  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
def test_a_container_with_labels_of_another(refused, tiny_lab, label):
    body = good_body(tiny_lab)
    body["Labels"][label] = LABELS[label]
    refused(ask("POST", f"/containers/create?name={tiny_lab.project}_node-1_9", body), 403)


@pytest.mark.parametrize("name", ["", "free", "{}_keeper_9", "{}x_node-1_1", "0123456789ab_free", "{}_node-1"])
def test_a_container_by_the_name_of_another(refused, tiny_lab, name):
    name = name.format(tiny_lab.project)
    refused(ask("POST", f"/containers/create?name={name}", good_body(tiny_lab)), 403)


def test_driver_options_of_an_endpoint(refused, tiny_lab):
    network = f"{tiny_lab.project}_lab"
    body = good_body(tiny_lab)
    body["NetworkingConfig"]["EndpointsConfig"][network] = {"DriverOpts": {"a": "b"}}
    refused(ask("POST", f"/containers/create?name={tiny_lab.project}_node-1_9", body), 403)
    body = {"Container": tiny_lab.id("node-1"), "EndpointConfig": {"DriverOpts": {"a": "b"}}}
    refused(ask("POST", f"/networks/{network}/connect", body), 403)


BROKEN = (
    "", "null", "[]", "1", '"x"', "{", "{}x", '{"a":NaN}', '{"a":1e5}', '{"Cmd":["true"],"Cmd":["false"]}',
    '{"Cmd":["true"],"cmd":["false"]}', '{"Privileged":false,"privileged":true}', '{"a":"\\ud800"}',
    "{" + '"a":{' * 50 + "}" * 51, "[" * 100_000, '\ufeff{"Cmd":["true"]}', '{"Cmd":"true"}', '{"Cmd":[1]}',
    '{"Tty":1}', '{"a":99999999999999999999}', '{"Cmd":["true"],"Privileged":true}',
    '{"Cmd":["true"],"privileged":true}', '{"Cmd":["true"],"PRIVILEGED":true}', '{"CMD":["true"]}',
    '{"Cmd":["true"],"Unheard":1}',
)  # fmt: skip


@pytest.mark.parametrize("text", BROKEN[1:])
def test_bodies_that_are_not_plain(refused, tiny_lab, text):
    refused(ask("POST", f"/containers/{tiny_lab.id('node-1')}/exec", text), 400, 403)


UPDATES = (
    {"Memory": 64 * 1024 * 1024}, {"MemorySwap": -1}, {"NanoCpus": 600_000_000}, {"CpuQuota": -1}, {"PidsLimit": -1},
    {"CpuPeriod": 1000}, {"CpuQuota": 60_000}, {"Devices": [{"PathOnHost": "/dev/sda"}]}, {"Privileged": True},
    {"memory": 64 * 1024 * 1024}, {"CgroupParent": "/"}, {"Binds": ["/:/x"]}, {"KernelMemory": 1}, {"PidsLimit": 51},
    {"CpuShares": 262_144}, {"RestartPolicy": {"Name": "x"}}, {"Memory": "64m"}, {"Memory": True},
    {"Ulimits": [{}, {"a": 1}]},
)  # fmt: skip


@pytest.mark.parametrize("body", UPDATES, ids=str)
def test_limits_beyond_those_of_the_service(refused, tiny_lab, body):
    refused(ask("POST", f"/containers/{tiny_lab.id('node-1')}/update", body), 400, 403)


def test_the_good_body_is_accepted(guarded, tiny_lab):
    name = f"{tiny_lab.project}_node-1_9"
    status, said = talk(guarded, ask("POST", f"/containers/create?name={name}", good_body(tiny_lab)))
    assert status == 201, said
    made = tiny_lab.engine.containers.get(name)
    assert made.attrs["HostConfig"]["CapDrop"] == ["ALL"]
    assert made.attrs["HostConfig"]["ReadonlyRootfs"] is True
    assert talk(guarded, ask("DELETE", f"/containers/{name}"))[0] == 204


def test_a_lab_cannot_be_filled_with_containers(guarded, tiny_lab):
    statuses = []
    try:
        for number in range(20, 32):
            name = f"{tiny_lab.project}_node-1_{number}"
            statuses.append(talk(guarded, ask("POST", f"/containers/create?name={name}", good_body(tiny_lab)))[0])
    finally:
        for number in range(20, 32):
            talk(guarded, ask("DELETE", f"/containers/{tiny_lab.project}_node-1_{number}"))
    assert statuses == [201] * 7 + [403] * 5
