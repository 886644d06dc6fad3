"""Containers as Docker's client tells of them: what is read, and that no output leads to a wild command."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from operatorlab.procedure import Printed
from operatorlab.subject import FaultKind
from subjects.ratelimiter.procedure import diagnose, docker
from subjects.ratelimiter.procedure.assess import assess
from subjects.ratelimiter.procedure.contained import Contained, _all_at_once
from subjects.ratelimiter.procedure.picture import LimitsSeen, NodeSeen, Picture, ProbeSeen, RedisSeen, Resource, Share
from subjects.ratelimiter.procedure.trouble import Remedy

_ROW = "{} /{} {} exit={} oom=false cpus=1000000000 quota=0/0 memory=201326592 networks={}"
_NAMES = ("redis", "node-1", "node-2", "link-node-1", "prometheus")
_WELL = "=== containers\n" + "\n".join(_ROW.format(name, f"p_{name}_1", "running", 0, "p_lab,") for name in _NAMES)
_DECLARED = "=== declared\nname: p\nservices:\n" + "".join(
    f"  {name}:\n    cpus: 1.0\n    mem_limit: {size}\n" for name, size in zip(_NAMES, ("192m",) * 5, strict=True)
)
_RULE = {"source": "node-1", "target": "redis", "listen": 6379, "upstream": 6379, "drop": True}
_rows = st.lists(
    st.builds(
        _ROW.format,
        st.sampled_from((*_NAMES, "x;y")),
        st.sampled_from(["p_a_1", "p-b-1", "$(reboot)", "p_c_1; reboot"]),
        st.sampled_from(["running", "exited", "paused", "created", "dead", "removing"]),
        st.sampled_from([0, 137]),
        st.sampled_from(["", "p_lab,", "a,b,", "$(reboot),"]),
    )
).map(lambda rows: "=== containers\n" + "\n".join(rows))
_printed = st.builds(
    Printed,
    st.sampled_from([None, 0, 1, 127]),
    st.one_of(
        _rows,
        st.just(_DECLARED),
        st.just(f"=== etc/links/node-1-redis.json\n{json.dumps(_RULE)}\n"),
        st.just("=== /data\nFilesystem\ntmpfs 32768 32768 0 100% /data\n/data/.ballast\n/data/a b\n/data/$(reboot)\n"),
        st.just("PONG\nrole:master\ninside=PONG\nthrough link-node-1=PONG"),
        st.just('node-1:8000 /health {} HTTP 200\nnode-1:8000 /ready {"reason": "timeout"} HTTP 503'),
        st.just("node-1:8000 /health  HTTP 000\nnode-1:8000 /ready  HTTP 000"),
        st.text(max_size=200),
    ),
)


def _play(first: str, answers):
    commands, playing = [], diagnose("component: node-1\ninvariant: node_down\n")
    step = next(playing)
    printed = Printed(0, first)
    while True:
        commands.append(step.command)
        assert len(commands) < 40, "within the turns of a session"
        try:
            step = playing.send(printed)
        except StopIteration as done:
            return commands, done.value
        printed = answers(len(commands), step.command)


@given(st.lists(_printed, min_size=1, max_size=12))
def test_any_output_leads_to_a_report_and_nothing_printed_is_run(outputs):
    commands, said = _play(_WELL, lambda number, _: outputs[number % len(outputs)])
    assert FaultKind(said.kind)
    assert said.outcome in {"resolved", "escalated", "no_action_needed"}
    for command in commands:
        assert "reboot" not in re.sub(r"'[^']*'", "", command), "what is printed is quoted or left out"
        assert not command.startswith("supervisorctl") or command == commands[0]


def test_where_supervisorctl_answers_docker_is_never_asked():
    commands, _ = _play("redis   RUNNING   pid 9, uptime 0:00:01", lambda *_: Printed(0, ""))
    assert not any(command.startswith(("docker", "echo '=== containers'")) for command in commands)


def test_a_list_of_containers_is_read_whatever_its_separators():
    seen = docker.containers(
        _ROW.format("node-1", "p-node-1-1", "exited", 137, "")
        + "\nno container\n"
        + _ROW.format("redis", "p_redis_1", "paused", 0, "p_lab,")
    )
    assert (seen["node-1"].container, seen["node-1"].state, seen["node-1"].detail) == (
        "p-node-1-1",
        "EXITED",
        "exit code 137",
    )
    assert seen["node-1"].disconnected
    assert seen["redis"].frozen
    assert not seen["redis"].running


def test_what_is_declared_shows_what_is_missing_and_who_lacks_what():
    little = _ROW.replace("cpus=1000000000", "cpus=50000000").format("node-1", "p_node-1_1", "running", 0, "p_lab,")
    config = (
        "name: p\nnetworks:\n  lab:\nservices:\n  grafana:\n    cpus: 1.0\n    profiles:\n"
        "  node-1:\n    cpus: 1.0\n    mem_limit: \"201326592\"\n  node-2:\n    cpus: '0.5'\n    mem_limit: 192m\n"
        "volumes:\n  none:\n"
    )
    seen = docker.with_declared(docker.containers(little), "\n" + config)
    assert set(seen) == {"node-1", "node-2"}, "what only a profile starts is not missed"
    assert seen["node-2"].state == "MISSING"
    assert seen["node-1"].short_of == {Resource.CPU: Share(0.05, 1.0)}


def test_memory_is_compared_in_bytes_and_no_limit_is_enough():
    row = _ROW.replace("memory=201326592", "memory=67108864").replace("cpus=1000000000", "cpus=0")
    config = "\nservices:\n  node-1:\n    cpus: 1.0\n    mem_limit: 192M\n"
    (one,) = docker.with_declared(docker.containers(row.format("node-1", "n", "running", 0, "l,")), config).values()
    assert one.short_of == {Resource.MEMORY: Share(64 << 20, 192 << 20)}


def test_a_process_stopped_by_a_signal_is_frozen_even_below_an_init():
    row = "10001  {}  0.0  0.1  2320  560  ?  {}  11:14  0:00  python"
    rows = "\n".join(
        ("USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND", row.format(12, "Ss"), row.format(13, "Tl"))
    )
    parts = {"p_node-1_1": f"{rows}\n"}
    seen = docker.with_kernel_states(docker.containers(_WELL), parts)
    assert seen["node-1"].frozen
    assert seen["node-1"].pid == 13
    assert not seen["redis"].frozen


def test_a_redis_that_is_silent_towards_us_and_serves_the_nodes_is_well():
    def seen(status, reply):
        nodes = tuple(NodeSeen(name, 8000, 6379, "", ready=ProbeSeen(status)) for name in ("node-1", "node-3"))
        return {trouble.component for trouble in assess(Picture(nodes=nodes, redis=RedisSeen(6379, reply)))}

    assert "redis" not in seen(200, "")
    assert "redis" in seen(503, "")
    assert "redis" in seen(200, "NOAUTH Authentication required.")


def test_a_node_that_its_container_told_something_wrong_gets_one_as_it_is_declared():
    well = ProbeSeen(200)
    told = {"cache_s": 10.0, "clock": "redis", "window_s": 0.25}
    node = NodeSeen("node-1", 8000, 6379, "", health=well, ready=well, file={"name": "node-1"}, told=told)
    declared = LimitsSeen("etc/limits.json", 1.0, 50, {}, {})
    limits = (replace(declared, node="node-1", window_s=0.25),)
    running = docker.containers(_ROW.format("node-1", "p_node-1_1", "running", 0, "p_lab,"))
    running = {name: replace(one, short_of={}) for name, one in running.items()}
    picture = Picture(nodes=(node,), declared=declared, limits=limits, processes=running)
    troubles = assess(picture)
    assert [trouble.component for trouble in troubles] == ["node-1", "node-1"]
    assert {trouble.remedy for trouble in troubles} == {Remedy.REMAKE}
    command = Contained.commands[Remedy.REMAKE](troubles[0], picture)
    assert command.endswith(" up -d --no-deps --force-recreate node-1")
    assert {one.remedy for one in assess(replace(picture, processes={}))} == {Remedy.NONE}


def test_what_was_started_and_has_ended_again_gets_a_container_as_it_is_declared():
    ended = _WELL.replace("p_node-1_1 running exit=0", "p_node-1_1 exited exit=2")
    commands, said = _play(ended, lambda _, command: Printed(0, ended if "=== containers" in command else ""))
    changes = [command for command in commands if "start p_node-1" in command or "--force-recreate" in command]
    assert len(changes) == 2
    assert changes[0] == "docker start p_node-1_1"
    assert changes[1].endswith(" up -d --no-deps --force-recreate node-1")
    assert said.outcome == "escalated"


def test_what_may_not_be_started_is_not_made_anew_either_and_nothing_is_waited_for():
    ended = _WELL.replace("p_node-1_1 running exit=0", "p_node-1_1 exited exit=137")

    def refused(_, command):
        if "start p_node-1" in command:
            return Printed(1, "Error response from daemon: refused: this lab may be looked at, not changed")
        return Printed(0, ended if "=== containers" in command else "")

    commands, said = _play(ended, refused)
    assert not [command for command in commands if "--force-recreate" in command or "seq 20" in command]
    assert said.outcome == "escalated"


def test_only_what_redis_did_not_write_may_be_removed():
    own = ("dump.rdb", "temp-12.rdb", "appendonlydir/appendonly.aof.3.incr.aof", "appendonlydir/temp-rewriteaof-9.aof")
    foreign = ("/data/.ballast", "/data/appendonlydir/fill", "/data/dump.rdb.old")
    printed = "tmpfs 32768 32768 0 100% /data\n" + "\n".join(
        (*(f"/data/{name}" for name in own), *foreign, "/etc/passwd")
    )
    volume = docker.volume(printed)
    assert volume is not None
    assert volume.full
    assert volume.foreign == foreign
    assert docker.volume("df: not found") is None


def test_what_many_containers_say_at_once_is_not_torn(tmp_path: Path):
    client = tmp_path / "docker"
    client.write_text(
        '#!/bin/bash\nshift 2\nexec "$@"\n', encoding="ascii"
    )  # runs here what it is to run in a container
    client.chmod(0o755)
    names, lines = [f"c-{number}" for number in range(8)], 400
    command = _all_at_once({name: f"for i in $(seq {lines}); do echo {name} $i; done" for name in names})
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    said = subprocess.run(
        ["bash", "-c", command], env={"PATH": path}, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    runs = [(name, list(group)) for name, group in itertools.groupby(said.split("\n"), lambda line: line.split(" ")[0])]
    assert [name for name, _ in runs if name] == names
    assert all(len(group) == lines for name, group in runs if name)


def test_with_no_container_to_ask_nothing_is_waited_for():
    done = subprocess.run(["bash", "-c", _all_at_once({})], capture_output=True, timeout=60, check=True)
    assert done.stdout == b""
