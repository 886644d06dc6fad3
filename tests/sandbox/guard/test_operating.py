"""What an operator does in a lab, with the tools it has, through the guard."""

import asyncio
import gc
import os
import shutil
import subprocess
import time
import warnings

import docker
import pytest

from operatorlab.audit import AuditStore
from operatorlab.sandbox.guard import Guard, Lab

CLIENTS = sorted({path for path in ("/usr/bin/docker", "/usr/local/bin/docker") if shutil.which(path)})


@pytest.fixture(params=CLIENTS)
def cli(request, guarded):
    """Runs a docker command through the guard."""

    def run(*argv, **more):
        environment = {**os.environ, "DOCKER_HOST": f"unix://{guarded.socket}"}
        return subprocess.run(
            [request.param, *argv], env=environment, capture_output=True, text=True, timeout=60, check=False, **more
        )

    return run


@pytest.fixture
def through(guarded):
    """docker-py through the guard."""
    client = docker.DockerClient(base_url=f"unix://{guarded.socket}")
    yield client
    client.close()
    with warnings.catch_warnings():  # docker-py leaves the connection of an exec to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def compose(tiny_lab, guarded):
    """docker-compose through the guard."""

    def run(*argv):
        environment = {**tiny_lab.environment, "DOCKER_HOST": f"unix://{guarded.socket}"}
        done = tiny_lab.compose(*argv, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def test_the_list_holds_the_labs_own_containers_only(cli, tiny_lab):
    names = cli("ps", "-a", "--format", "{{.Names}}").stdout.split()
    assert sorted(names) == [f"{tiny_lab.project}_node-{n}_1" for n in (1, 2, 3)]
    inspected = cli("network", "inspect", f"{tiny_lab.project}_lab").stdout
    assert tiny_lab.id("node-1") in inspected
    assert tiny_lab.id("keeper") not in inspected


@pytest.mark.parametrize("command", [["version"], ["info"], ["images"], ["network", "ls"], ["volume", "ls"]])
def test_commands_that_only_look_around_work(cli, command):
    done = cli(*command)
    assert done.returncode == 0, done.stderr


def test_a_container_is_stopped_started_paused_and_killed(cli, tiny_lab):
    name = f"{tiny_lab.project}_node-1_1"
    for verb, state in (
        (("stop", "-t", "1"), "exited"),
        (("start",), "running"),
        (("pause",), "paused"),
        (("unpause",), "running"),
        (("kill",), "exited"),
        (("restart", "-t", "1"), "running"),
    ):
        done = cli(*verb, name)
        assert done.returncode == 0, done.stderr
        assert cli("inspect", "-f", "{{.State.Status}}", name).stdout.strip() == state


def test_exec_gives_output_input_and_exit_code(cli, tiny_lab):
    name = f"{tiny_lab.project}_node-3_1"
    done = cli("exec", "-i", name, "sh", "-c", "cat; echo oops >&2; exit 7", input="hello\n" * 10_000)
    assert (done.returncode, done.stdout, done.stderr) == (7, "hello\n" * 10_000, "oops\n")


def test_stats_top_changes_and_inspect_by_prefix(cli, tiny_lab):
    prefix = tiny_lab.id("node-3")[:12]
    for argv in (("stats", "--no-stream", prefix), ("top", prefix), ("diff", prefix), ("inspect", prefix)):
        done = cli(*argv)
        assert done.returncode == 0, done.stderr


def test_limits_go_down_and_up_again_but_not_beyond(cli, tiny_lab):
    name = f"{tiny_lab.project}_node-3_1"
    assert cli("update", "--cpus", "0.1", name).returncode == 0
    assert cli("update", "--cpus", "0.5", name).returncode == 0
    refused = cli("update", "--cpus", "1", name)
    assert refused.returncode != 0
    assert "limit this service came up with" in refused.stderr


def test_a_container_leaves_the_network_and_comes_back(cli, tiny_lab):
    name, network = f"{tiny_lab.project}_node-3_1", f"{tiny_lab.project}_lab"
    assert cli("network", "disconnect", network, name).returncode == 0
    done = cli("network", "connect", "--alias", "node-3", network, name)
    assert done.returncode == 0, done.stderr
    assert "node-3" in cli("inspect", name).stdout


def test_compose_recreates_a_changed_service(compose, tiny_lab):
    before = tiny_lab.id("node-2")
    path = tiny_lab.folder / "docker-compose.yml"
    text = path.read_text()
    try:
        path.write_text(text.replace("  node-2: *member", "  node-2: {<<: *member, environment: [CHANGED=yes]}"))
        compose("up", "-d", "node-2")
    finally:
        path.write_text(text)
    after = tiny_lab.engine.containers.get(tiny_lab.id("node-2"))
    assert after.id != before
    assert "CHANGED=yes" in after.attrs["Config"]["Env"]
    assert after.attrs["HostConfig"]["Memory"] == 32 * 1024 * 1024


def test_compose_brings_back_a_removed_service(compose, cli, tiny_lab):
    assert cli("rm", "-f", f"{tiny_lab.project}_node-2_1").returncode == 0
    assert tiny_lab.id("node-2") is None
    compose("up", "-d", "node-2")
    assert tiny_lab.engine.containers.get(tiny_lab.id("node-2")).status == "running"


def test_compose_lists_restarts_and_reads_logs(compose):
    assert "node-1" in compose("ps")
    compose("restart", "-t", "1", "node-1")
    compose("logs", "--tail", "5", "node-1")


def test_docker_py_execs_by_the_older_hijack(through, tiny_lab):
    container = through.containers.get(f"{tiny_lab.project}_node-3_1")
    code, output = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 3"], demux=True)
    assert (code, output) == (3, (b"out\n", b"err\n"))


def test_a_terminal_is_hijacked_both_ways(through, tiny_lab):
    made = through.api.exec_create(tiny_lab.id("node-3"), ["sh"], stdin=True, tty=True)["Id"]
    stream = through.api.exec_start(made, tty=True, socket=True)
    stream._sock.sendall(b"echo $((6*7)); exit\n")
    said = b""
    while chunk := stream._sock.recv(4096):
        said += chunk
    assert b"42" in said
    stream.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_logs_are_followed_while_they_are_written(client, cli, guarded, tiny_lab):
    name = f"{tiny_lab.project}_node-3_1"
    environment = {**os.environ, "DOCKER_HOST": f"unix://{guarded.socket}"}
    follow = [client, "logs", "-f", name]
    with subprocess.Popen(follow, env=environment, stdout=subprocess.PIPE) as following:
        for _ in range(2):  # the second cannot but come while the stream is open
            assert cli("kill", "-s", "USR1", name).returncode == 0
            assert following.stdout.readline() == b"line-of-log\n"
        following.terminate()


def test_events_are_those_of_the_lab_and_tell_no_execs(through, tiny_lab):
    since = int(time.time())
    stranger = tiny_lab.engine.containers.get(tiny_lab.stranger)
    stranger.pause()
    stranger.unpause()
    mine = through.containers.get(f"{tiny_lab.project}_node-3_1")
    mine.exec_run(["true"])
    mine.pause()
    mine.unpause()
    told = list(through.events(since=since, until=int(time.time()) + 1, decode=True))
    assert {event["Actor"]["Attributes"]["operatorlab.run"] for event in told} == {tiny_lab.project}
    assert [event["Action"] for event in told if event["Actor"]["ID"] == mine.id][-2:] == ["pause", "unpause"]
    assert not [event for event in told if event["Action"].startswith("exec")]


def test_every_decision_is_in_the_audit_before_its_effect(through, guarded, tiny_lab):
    name = f"{tiny_lab.project}_node-3_1"
    through.containers.get(name).pause()
    through.containers.get(name).unpause()
    with AuditStore(guarded.audit, readonly=True) as audit:
        told = [event.payload for event in audit.events(run=guarded.run, kinds=["guard.allowed"])]
        assert {"method": "POST", "path": "/containers/{}/pause", "target": name} in told
        assert audit.verify().ok


@pytest.mark.asyncio(loop_scope="module")
async def test_observing_is_reading_only(guarded, tiny_lab, tmp_path):
    lab = guarded.model_copy(update={"socket": tmp_path / "docker.sock", "mode": "observe"})
    async with Guard(lab):
        assert lab.socket.stat().st_mode & 0o777 == 0o666
        client = await asyncio.to_thread(docker.DockerClient, f"unix://{lab.socket}")
        container = await asyncio.to_thread(client.containers.get, tiny_lab.id("node-3"))
        await asyncio.to_thread(container.logs)
        for change in (container.pause, lambda: container.exec_run("true"), container.restart, container.attach):
            with pytest.raises(docker.errors.APIError, match="looked at, not changed"):
                await asyncio.to_thread(change)
        client.close()
    assert not lab.socket.exists()


async def test_without_a_daemon_the_guard_says_so(tmp_path):
    lab = Lab(
        project="none", run="none", socket=tmp_path / "s", docker=tmp_path / "nobody", audit=tmp_path / "a.db",
        templates=tmp_path / "t.json",
    )  # fmt: skip
    async with Guard(lab):
        reader, writer = await asyncio.open_unix_connection(str(lab.socket))
        writer.write(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"does not answer" in answer
