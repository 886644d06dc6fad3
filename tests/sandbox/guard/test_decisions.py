"""The pure half of the guard: any JSON, any path, any name, and never more than was meant."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operatorlab.sandbox.guard import Lab, Template, Templates, bodies, policy, strict
from operatorlab.sandbox.guard.http import Request
from operatorlab.sandbox.guard.refusal import Refused

LAB = Lab(project="lab-1", run="lab-1", socket=Path("s"), audit=Path("a"), templates=Path("t"))
HOST = {
    "Memory": 1000, "MemorySwap": 2000, "NanoCpus": 1000, "PidsLimit": 10, "CapDrop": ["ALL"], "Binds": None,
    "SecurityOpt": ["no-new-privileges:true"], "ReadonlyRootfs": True, "Tmpfs": {"/tmp": "size=1m,mode=1777"},
    "LogConfig": {"Type": "json-file", "Config": {}}, "Privileged": False, "IpcMode": "private", "Runtime": "runc",
}  # fmt: skip
TEMPLATE = Template(
    image="image:1", image_id="sha256:1", host=HOST, labels={"operatorlab.part": "system", "operatorlab.run": "lab-1"}
)
TEMPLATES = Templates(services={"node-1": TEMPLATE})
NETWORKS = {"lab-1_lab"}

LEAVES = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8)
DATA = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner))
ALLOWED = {
    *("NetworkMode", "RestartPolicy", "AutoRemove", "Memory", "MemorySwap", "NanoCpus", "CpuQuota", "CpuPeriod"),
    *("PidsLimit", "CpuShares", "MemoryReservation", "MemorySwappiness", "CpusetCpus", "CpusetMems", "CapAdd"),
    *("CapDrop", "SecurityOpt", "ReadonlyRootfs", "Tmpfs", "Mounts", "Sysctls", "LogConfig", "Init", "Ulimits"),
    *("GroupAdd", "OomScoreAdj", "Runtime", "ShmSize", "IpcMode", "CgroupnsMode"),
}
FORBIDDEN = (
    *("Privileged", "Binds", "Devices", "DeviceRequests", "DeviceCgroupRules", "VolumesFrom", "PidMode", "UTSMode"),
    *("UsernsMode", "Cgroup", "CgroupParent", "PortBindings", "ExtraHosts", "Dns", "StorageOpt", "Links"),
    *("MaskedPaths", "ReadonlyPaths", "OomKillDisable", "KernelMemory", "VolumeDriver", "PublishAllPorts"),
)


def body(**host):
    wanted = {**HOST, "NetworkMode": "lab-1_lab", **host}
    labels = {**LAB.labels(), "com.docker.compose.service": "node-1"}
    return {"Image": "image:1", "Labels": labels, "HostConfig": wanted}


def created(asked):
    return bodies.create(asked, LAB, TEMPLATES, NETWORKS)


def odd_case(name):
    """Some other way to write a key that Go takes for the same."""
    folds = {"s": "ſ", "k": "\u212a"}
    sign = st.sampled_from
    return st.tuples(*(sign((c.lower(), c.upper(), folds.get(c.lower(), c))) for c in name)).map("".join)


@given(field=st.sampled_from(FORBIDDEN), value=DATA.filter(lambda value: not strict.is_empty(value)))
def test_any_value_of_a_forbidden_field_is_refused(field, value):
    with pytest.raises(Refused):
        created(body(**{field: value}))


@given(data=st.data(), field=st.sampled_from((*FORBIDDEN, *sorted(ALLOWED))))
def test_a_field_written_in_another_case_never_goes_on(data, field):
    name = data.draw(odd_case(field))
    value = data.draw(DATA.filter(lambda value: not strict.is_empty(value)))
    if name == field:
        return
    with pytest.raises(Refused):
        created(body(**{name: value}))


@given(host=st.dictionaries(st.sampled_from((*FORBIDDEN, *sorted(ALLOWED))) | st.text(max_size=12), DATA, max_size=4))
def test_whatever_is_asked_what_goes_on_is_as_tight_as_the_service(host):
    try:
        made = created(body(**host))["HostConfig"]
    except Refused:
        return
    assert set(made) <= ALLOWED
    assert made["NetworkMode"] in {*NETWORKS, "none"}
    assert 0 < made["Memory"] <= 1000
    assert 0 < made["PidsLimit"] <= 10
    assert made["CapDrop"] == ["ALL"]
    assert made["ReadonlyRootfs"] is True
    assert not made.get("CapAdd")
    assert not made.get("Mounts")


@given(data=DATA)
def test_plain_json_is_read_as_it_was_written(data):
    text = json.dumps(data, ensure_ascii=False)
    try:
        assert strict.parse(text.encode("utf-8", "surrogatepass")) == data
    except Refused:
        return


@given(name=st.text("abcsk", min_size=1, max_size=5), data=st.data())
def test_keys_that_go_takes_for_one_are_refused(name, data):
    other = data.draw(odd_case(name))
    with pytest.raises(Refused):
        strict.parse(f"{{{json.dumps(name)}: 1, {json.dumps(other)}: 2}}")


@given(text=st.text(max_size=30) | st.binary(max_size=30))
def test_any_text_is_parsed_or_refused(text):
    with contextlib.suppress(Refused):
        strict.parse(text)


@given(path=st.text("ab./%\\v14:@?&=#{}~- \n", max_size=40))
def test_any_target_is_understood_in_one_way_or_refused(path):
    try:
        asked = policy.understand(Request("GET", f"/containers/{path}", upgrade=False, body=b"", rest=b""), (1, 41))
    except Refused:
        return
    assert asked.target("i" * 64).startswith("/v1.")
    assert not set(asked.name) & set("/%\\?# \n")
    assert ".." not in asked.target("i" * 64).split("?")[0].split("/")


@given(ref=st.text("0123456789abcdef", min_size=1, max_size=64))
def test_a_name_is_found_among_the_labs_own_only(ref):
    own = [{"Id": "a" * 64, "Names": ["/lab-1_node-1_1"]}, {"Id": "ab" * 32, "Names": ["/lab-1_node-2_1"]}]
    try:
        found = policy.find_container(ref, own)
    except Refused:
        found = None
    if found is None:
        assert sum(each["Id"].startswith(ref) for each in own) != 1
        return
    assert found.startswith(ref)
    assert sum(each["Id"].startswith(ref) for each in own) == 1


def test_a_link_of_legacy_networks_is_not_a_name():
    own = [{"Id": "a" * 64, "Names": ["/lab-1_node-1_1", "/other/alias"]}]
    with pytest.raises(Refused):
        policy.find_container("alias", own)


@pytest.mark.parametrize("update", [{"Memory": 500}, {"NanoCpus": 1000}, {"PidsLimit": 0}, {"MemorySwap": 2000}])
def test_limits_up_to_those_of_the_service_go_on(update):
    assert bodies.update(update, TEMPLATE) == {name: value for name, value in update.items() if value}


def test_a_quota_never_goes_on_without_its_period():
    wide = TEMPLATE.model_copy(update={"host": {**HOST, "NanoCpus": 10**9}})
    assert bodies.update({"CpuQuota": 50_000}, wide) == {"CpuQuota": 50_000, "CpuPeriod": 100_000}


def test_a_missing_limit_is_not_no_limit():
    for name in ("Memory", "NanoCpus", "PidsLimit"):
        with pytest.raises(Refused, match=name):
            created(body(**{name: None}))


def test_templates_come_back_as_they_were_kept(tmp_path):
    TEMPLATES.write(tmp_path / "templates.json")
    assert Templates.read(tmp_path / "templates.json") == TEMPLATES
    assert (tmp_path / "templates.json").stat().st_mode & 0o777 == 0o600
