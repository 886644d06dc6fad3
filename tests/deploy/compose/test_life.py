"""A lab of containers comes up, is found again and goes, whatever interrupts it."""

import asyncio
import contextlib
import json
import secrets
import signal
import socket
import subprocess
import sys
from functools import partial

import docker
import pytest
from click.testing import CliRunner

from operatorlab.cli import root
from operatorlab.deploy.compose import ComposeDeployment
from operatorlab.deploy.compose.containers import remove_project
from operatorlab.deploy.compose.engine import Engine, find_daemon, socket_of
from operatorlab.deploy.compose.stack import RELAY_IMAGE
from operatorlab.deploy.kinds import attach, bring_up
from operatorlab.deploy.labs import cleanup, labs
from operatorlab.deploy.ports import LOOPBACK
from operatorlab.deploy.records import LabRecord, LabState, begin_record, read_record
from operatorlab.errors import BadParameter, DockerTrouble, MissingProgram, NetworkHeld, PortTaken
from operatorlab.subject import COMPOSE, PROCESSES, MemberState
from subjects.ratelimiter.subject import RateLimiter

pytestmark = pytest.mark.timeout(180)
_OWNER = """
import asyncio
from operatorlab.deploy.compose import ComposeDeployment
from subjects.ratelimiter.subject import RateLimiter
async def own():
    lab = await ComposeDeployment.up(RateLimiter())
    print(lab.run_id, flush=True)
    await asyncio.sleep(600)
asyncio.run(own())
"""


@pytest.mark.slow
def test_the_commands_bring_one_up_show_it_and_take_it_down(left):
    up = subprocess.run(
        [sys.executable, "-m", "operatorlab", "up", "ratelimiter", "--deployment", "compose"],
        capture_output=True,
        text=True,
        check=True,
    )
    [record] = labs()
    assert "waiting until it is healthy" in up.stdout
    assert f"is up as {record.run_id}" in up.stdout
    for name in ("node-1", "redis", "prometheus"):
        assert f"{LOOPBACK}:{record.ports[name]}" in up.stdout
    assert (record.keep, record.owner_alive, record.dead, record.deployment) == (True, False, False, COMPOSE)
    [shown] = json.loads(CliRunner().invoke(root, ["status", "--json"], catch_exceptions=False).output)
    assert shown["members"] == dict.fromkeys(("node-1", "node-2", "node-3", "redis"), "running")
    assert shown["deployment"] == COMPOSE
    assert "ratelimiter as compose" in CliRunner().invoke(root, ["status"], catch_exceptions=False).output
    assert asyncio.run(attach(record.run_id).state("node-1")) is MemberState.RUNNING
    told = CliRunner().invoke(root, ["down"], catch_exceptions=False).output
    assert f"{record.run_id} is down" in told
    assert left(record.run_id) == []
    with pytest.raises(BadParameter, match="was taken down"):
        attach(record.run_id)


@pytest.mark.slow
async def test_a_strangers_container_on_its_network_does_not_keep_it_from_going(left):
    lab = await ComposeDeployment.up(RateLimiter())
    client = docker.DockerClient(base_url=find_daemon())
    stranger = client.containers.create(RELAY_IMAGE, ["sleep", "600"], network=f"{lab.run_id}_lab")
    try:
        stranger.start()
        await lab.down()
        assert left(lab.run_id) == []
        stranger.reload()
        assert stranger.status == "running"
    finally:
        stranger.remove(force=True)
        client.close()


async def held(reader, writer, daemon):
    """Passes a connection on to the daemon, but answers for it that networks are in use."""
    with contextlib.suppress(ConnectionError):
        from_daemon, to_daemon = await asyncio.open_unix_connection(daemon)

        async def back():
            while said := await from_daemon.read(65536):
                writer.write(said)

        answers = asyncio.ensure_future(back())
        while asked := await reader.read(65536):
            if asked.startswith(b"DELETE ") and b"/networks/" in asked.split(b"\r\n")[0]:
                told = b'{"message": "network x has active endpoints"}'
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(told), told))
            else:
                to_daemon.write(asked)
        to_daemon.close()
        await answers
    writer.close()


async def test_a_daemon_that_does_not_let_go_of_an_empty_network_is_told_of_and_all_else_is_gone(left, tmp_path):
    client = docker.DockerClient(base_url=find_daemon())
    project = f"held-{secrets.token_hex(4)}"
    labels = {"com.docker.compose.project": project}
    network = client.networks.create(f"{project}_lab", labels=labels, internal=True)
    try:
        client.volumes.create(f"{project}_kept", labels=labels)
        client.containers.create(RELAY_IMAGE, ["sleep", "600"], network=network.name, labels=labels).start()
        miscounting = f"unix://{tmp_path}/docker.sock"
        serve = partial(held, daemon=socket_of(find_daemon()))
        async with await asyncio.start_unix_server(serve, tmp_path / "docker.sock"):
            with pytest.raises(NetworkHeld, match=f"does not let go of {network.name}, though nothing is attached"):
                await Engine(miscounting)(lambda through: remove_project(through, project, freed_within_s=0.3))
        assert left(project) == [repr(network)]
    finally:
        await Engine(find_daemon())(lambda direct: remove_project(direct, project))
        client.close()
    assert left(project) == []


@pytest.mark.slow
async def test_three_labs_side_by_side_have_addresses_of_their_own_on_loopback(left):
    found = await asyncio.gather(*(ComposeDeployment.up(RateLimiter()) for _ in range(3)))
    try:
        ports = [port for lab in found for port in lab.record.ports.values()]
        subnets = [subnet for lab in found for subnet in lab.record.subnets.values()]
        assert len(set(ports)) == len(ports)
        assert len(set(subnets)) == len(subnets) == 9
        first, *others = found
        await first.kill("node-1")
        assert [await lab.state("node-1") for lab in others] == [MemberState.RUNNING] * 2
        for lab in found:
            inspected = await lab.containers.inspect("ingress")
            bindings = inspected["NetworkSettings"]["Ports"].values()
            assert {one["HostIp"] for some in bindings for one in some or ()} == {LOOPBACK}
    finally:
        await asyncio.gather(*(lab.down() for lab in found))
    assert [left(lab.run_id) for lab in found] == [[], [], []]


@pytest.mark.slow
async def test_cleanup_after_the_owner_was_killed(left):
    with subprocess.Popen([sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, text=True) as owner:  # noqa: ASYNC220
        run_id = (await asyncio.to_thread(owner.stdout.readline)).strip()
        owner.send_signal(signal.SIGKILL)
    assert read_record(run_id).dead
    assert left(run_id)
    assert [record.run_id for record in await cleanup()] == [run_id]
    assert left(run_id) == []
    assert not read_records_of(run_id)


def read_records_of(run_id: str) -> list[LabRecord]:
    return [record for record in labs() if record.run_id == run_id]


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [1.0, 2.0, 3.0, 4.5])
async def test_an_interrupted_up_leaves_nothing(left, after_s):
    words = [sys.executable, "-m", "operatorlab", "up", "ratelimiter", "--deployment", "compose"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as coming:  # noqa: ASYNC220
        await asyncio.sleep(after_s)  # any moment will do
        coming.send_signal(signal.SIGINT)
        await asyncio.to_thread(coming.wait, 60)
    for record in await cleanup(include_kept=True):
        assert record.state is LabState.UP, "it was up already when it was interrupted"
    assert labs() == []
    label = {"label": "operatorlab.run"}
    seen = Engine(find_daemon()).now(lambda client: client.containers.list(all=True, sparse=True, filters=label))
    mine = {path.name for path in (await asyncio.to_thread(_runs))}
    assert [one.attrs["Names"] for one in seen if one.attrs["Labels"]["operatorlab.run"] in mine] == []


def _runs():
    from operatorlab import home

    return list(home.runs().glob("*"))  # an early end may have come before there was a folder


async def test_a_wanted_port_in_use_is_named(left):
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port}, asked for as 'node-1', is in use"):
            await ComposeDeployment.up(RateLimiter(), ports={"node-1": port})
    assert labs() == []


async def test_no_daemon_and_no_compose_say_what_to_do_next(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(DockerTrouble, match="Unix socket") as told:
        await ComposeDeployment.up(RateLimiter())
    assert "unset DOCKER_HOST" in told.value.next_step
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(DockerTrouble, match="does not answer") as told:
        await ComposeDeployment.up(RateLimiter())
    assert "start Docker" in told.value.next_step
    program = "from operatorlab.deploy.compose.command import compose_command; compose_command()"
    alone = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert MissingProgram.__name__ in alone.stderr
    assert "install the Compose plugin" in alone.stderr


async def test_a_dead_lab_whose_daemon_is_away_keeps_no_other_from_starting(tmp_path):
    dead = begin_record(RateLimiter(), COMPOSE, None, keep=False).changed(
        docker=f"unix://{tmp_path}/nobody.sock", owner_started=1.0
    )
    assert dead.dead
    told = []
    lab = await bring_up(PROCESSES, RateLimiter(), progress=told.append)
    await lab.down()
    assert any(line.startswith(f"left {dead.run_id} as it is: the Docker daemon at") for line in told)
    assert read_record(dead.run_id).dead, "it stays on record"
    result = await asyncio.to_thread(CliRunner().invoke, root, ["cleanup"], catch_exceptions=False)
    assert f"left {dead.run_id}" in result.output


async def test_a_lab_that_never_came_up_is_dead_with_its_owner_even_if_it_was_to_stay():
    record = begin_record(RateLimiter(), COMPOSE, None, keep=True)
    assert not record.dead
    assert record.changed(owner_started=1.0).dead
    assert not record.changed(owner_started=1.0, state=LabState.UP).dead


async def test_a_record_from_before_there_were_labs_of_containers_loads():
    record = begin_record(RateLimiter(), PROCESSES, None, keep=False)
    path = record.folder / "lab.json"
    told = json.loads(path.read_text())
    for name in ("docker", "subnets", "deployment"):
        told.pop(name)
    path.write_text(json.dumps(told))
    assert (read_record(record.run_id).deployment, read_record(record.run_id).docker) == (PROCESSES, None)
