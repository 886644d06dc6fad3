"""Each verb to a member and to a path between members, and what each does when the target is not as it was."""

import asyncio
import json

import pytest
import pytest_asyncio

from operatorlab.deploy.kinds import attach
from operatorlab.errors import BadParameter, DockerTrouble, UnknownName
from operatorlab.subject import MemberState

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
RUNNING, PAUSED, STOPPED = MemberState.RUNNING, MemberState.PAUSED, MemberState.STOPPED


@pytest_asyncio.fixture(loop_scope="module")
async def lab(shared):
    """The shared lab, all of it running and connected."""
    yield shared
    for service in ("redis", "link-node-1", "link-node-2", "node-1", "node-2", "node-3"):
        await shared.ensure(service)
    for source, target in (("node-1", "node-2"), ("node-1", "redis"), ("node-2", "redis")):
        await shared.deliver(source, target)
    await shared.mend("node-1", "redis")
    for node in ("node-1", "node-2", "node-3"):
        await shared.connect(node)
        await shared.lift(node)


async def remove(lab, service):
    (await lab.containers.need(service)).remove(force=True)


async def again(lab, service):
    await remove(lab, service)
    await lab.ensure(service)


async def reaches(lab, source, target, within_s=1.0) -> bool:
    """Whether `source` gets an answer of the node `target` over the lab's network."""
    ask = f"import urllib.request as u; u.urlopen('http://{target}:8000/health', timeout={within_s}).read()"
    return (await lab.run(source, "python", "-c", ask))[0] == 0


async def test_stop_kill_pause_resume_start(lab):
    assert await lab.state("node-1") is RUNNING
    await lab.pause("node-1")
    await lab.pause("node-1")
    assert await lab.state("node-1") is PAUSED
    await lab.kill("node-1")
    assert await lab.state("node-1") is STOPPED, "a frozen one ends as well"
    for deed in (lab.kill, lab.stop, lab.resume):
        await deed("node-1")
    with pytest.raises(BadParameter, match="node-1 is stopped and cannot be paused"):
        await lab.pause("node-1")
    await lab.start("node-1")
    await lab.start("node-1")
    assert await lab.state("node-1") is RUNNING
    await lab.pause("node-1")
    await lab.stop("node-1")
    assert await lab.state("node-1") is STOPPED
    await lab.start("node-1")
    await lab.pause("node-1")
    await lab.resume("node-1")
    assert await lab.state("node-1") is RUNNING
    await lab.pause("node-1")
    await lab.start("node-1")
    assert await lab.state("node-1") is RUNNING


async def test_one_that_was_removed_is_stopped_and_start_makes_it_again(lab):
    await remove(lab, "node-2")
    assert await lab.state("node-2") is STOPPED
    for deed in (lab.kill, lab.stop, lab.resume, lab.lift):
        await deed("node-2")
    assert not await lab.connected("node-2")
    assert not await lab.limited("node-2")
    with pytest.raises(DockerTrouble, match="node-2 has no container"):
        await lab.run("node-2", "true")
    await lab.start("node-2")
    assert await lab.state("node-2") is RUNNING
    assert (await lab.freshness()).get("node-2") is None


async def test_unknown_names_are_told_with_what_there_is(lab):
    for deed in (lab.start, lab.stop, lab.kill, lab.pause, lab.resume, lab.state, lab.connect, lab.lift, lab.limited):
        with pytest.raises(UnknownName, match="did you mean 'node-1'"):
            await deed("node1")
    for deed in (lab.drop, lab.dropping, lab.deliver):
        with pytest.raises(UnknownName, match="there is node-1"):
            await deed("node-1", "nobody")
        with pytest.raises(UnknownName, match="there is node-1"):
            await deed("prometheus", "node-1")
    for deed in (lab.cut, lab.mend, lab.is_cut, lab.delay_of):
        with pytest.raises(UnknownName, match="node-1 to redis"):
            await deed("node-1", "node-2")
    with pytest.raises(BadParameter, match="3600"):
        await lab.delay("node-1", "redis", -1)
    with pytest.raises(BadParameter, match="more than 0, at most 1"):
        await lab.drop("node-1", "redis", share=1.5)


async def test_nodes_that_are_parted_do_not_reach_each_other_and_everybody_else_does(lab):
    await lab.drop("node-1", "node-2")
    assert await lab.dropping("node-1", "node-2")
    assert not await reaches(lab, "node-1", "node-2")
    assert not await reaches(lab, "node-2", "node-1")
    assert await reaches(lab, "node-1", "node-3")
    assert await reaches(lab, "node-3", "node-2")
    elsewhere = attach(lab.run_id)
    for _ in range(2):
        await elsewhere.deliver("node-1", "node-2")
        assert not await lab.dropping("node-1", "node-2")
    assert await reaches(lab, "node-1", "node-2")
    assert await reaches(lab, "node-2", "node-1")


_HEAR = "import socket; s = socket.socket(2, 2); s.bind(('', 9999)); s.settimeout(5); print(s.recv(9).decode())"
_SAY = (
    "import socket, time; s = socket.socket(2, 2)\nfor _ in range(20): s.sendto(b'hello', ('{}', 9999)); time.sleep(.1)"
)


async def hears(lab, listener, speaker) -> bool:
    """Whether datagrams of `speaker` arrive at `listener`."""
    hearing = asyncio.create_task(lab.run(listener, "python", "-c", _HEAR))
    await lab.run(speaker, "python", "-c", _SAY.format(listener))
    return "hello" in (await hearing)[1]


@pytest.mark.slow
async def test_one_way_is_one_way(lab):
    await lab.drop("node-1", "node-2", one_way=True)
    assert await hears(lab, "node-2", "node-1")
    assert not await hears(lab, "node-1", "node-2")
    await lab.deliver("node-1", "node-2")
    assert await hears(lab, "node-1", "node-2")


@pytest.mark.slow
@pytest.mark.parametrize("meanwhile", ["restarted", "made again", "removed", "killed"])
@pytest.mark.parametrize("where", ["link-node-1", "redis"])
async def test_paths_heal_whatever_happened_to_an_end_meanwhile(lab, where, meanwhile):
    await lab.cut("node-1", "redis")
    await lab.delay("node-1", "redis", 0.03)
    await lab.drop("node-1", "redis", share=0.5)
    assert await lab.is_cut("node-1", "redis")
    if meanwhile == "made again":
        await again(lab, where)
    elif meanwhile == "removed":
        await remove(lab, where)
    else:
        await lab.containers.kill(where)
        if meanwhile == "restarted":
            await lab.ensure(where)
    for _ in range(2):
        await lab.mend("node-1", "redis")
        await lab.deliver("node-1", "redis")
        assert not await lab.is_cut("node-1", "redis")
        assert await lab.delay_of("node-1", "redis") == 0
        assert not await lab.dropping("node-1", "redis")
    assert await lab.containers.state("link-node-1") is RUNNING


async def test_a_delay_delays_each_way(lab):
    await lab.delay("node-2", "redis", 0.1)
    assert await lab.delay_of("node-2", "redis") == pytest.approx(0.1)
    ask = (
        "import json, time, socket; s = socket.create_connection(('link-node-2', 6379)); "
        "t = time.time(); s.send(b'PING\\r\\n'); s.recv(9); print(json.dumps(time.time() - t))"
    )
    took = json.loads((await lab.run("node-2", "python", "-c", ask))[1])
    assert 0.19 < took < 0.6
    await lab.mend("node-2", "redis")
    assert await lab.delay_of("node-2", "redis") == 0
    assert json.loads((await lab.run("node-2", "python", "-c", ask))[1]) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("meanwhile", ["nothing", "killed", "made again", "removed"])
async def test_what_was_disconnected_is_connected_under_its_name(lab, meanwhile):
    await lab.disconnect("node-3")
    assert not await lab.connected("node-3")
    assert not await reaches(lab, "node-1", "node-3")
    if meanwhile == "killed":
        await lab.kill("node-3")
    elif meanwhile == "made again":
        await again(lab, "node-3")
    elif meanwhile == "removed":
        await remove(lab, "node-3")
    for _ in range(2):
        await lab.connect("node-3")
        assert await lab.connected("node-3")
    await lab.start("node-3")
    async with asyncio.timeout(15):
        while not await reaches(lab, "node-1", "node-3"):  # noqa: ASYNC110  a name leads to a new container in a moment
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("meanwhile", ["nothing", "killed", "made again", "removed"])
async def test_limits_are_lifted(lab, meanwhile):
    await lab.limit("node-2", cpus=0.2, memory=100 << 20)
    assert await lab.limited("node-2")
    assert not await lab.limited("node-1")
    if meanwhile == "killed":
        await lab.kill("node-2")
    elif meanwhile == "made again":
        await again(lab, "node-2")
    elif meanwhile == "removed":
        await remove(lab, "node-2")
    for _ in range(2):
        await lab.lift("node-2")
        assert not await lab.limited("node-2")
    await lab.start("node-2")
    assert (await lab.freshness()).get("node-2") is None
