"""What a real Docker daemon announces of the containers of one lab, and of no other's."""

import asyncio

import pytest

from operatorlab.deploy.compose.engine import Engine, find_daemon
from operatorlab.deploy.compose.events import changes
from operatorlab.errors import DockerTrouble

MEMBERS = {"node-1": 80, "node-2": 80}  # node-3 is none here


@pytest.fixture
async def told(tiny_lab):
    """The changes of the tiny lab; by now they come."""
    stream = changes(Engine(find_daemon()), tiny_lab.project, MEMBERS)
    first = asyncio.ensure_future(anext(stream))
    while not first.done():  # it is known to listen when it has told something
        await act(tiny_lab, "node-1", "pause")
        await act(tiny_lab, "node-1", "unpause")
        await asyncio.wait({first}, timeout=0.5)
    assert first.result().member == "node-1"
    yield stream
    await stream.aclose()


async def act(lab, service, deed):
    container = lab.engine.containers.get(lab.id(service))
    await asyncio.to_thread(getattr(container, deed))


async def of_node_2(stream):
    """What is told until node-2 starts; of node-1, the fixture's doing may still come."""
    words = []
    async for change in stream:
        assert change.member in MEMBERS
        words += [change.what] if change.member == "node-2" else []
        if change.what == "its container started":
            break
    return words


async def test_pauses_ends_and_starts_of_members_are_told_and_nobody_elses(tiny_lab, told):
    for other in ("keeper", "node-3"):
        await act(tiny_lab, other, "pause")
        await act(tiny_lab, other, "unpause")
    for deed in ("pause", "unpause", "kill", "start"):
        await act(tiny_lab, "node-2", deed)
    words = ["its container was paused", "its container goes on", "its container ended", "its container started"]
    assert await of_node_2(told) == words


async def test_a_daemon_that_is_away_is_an_error(tmp_path):
    with pytest.raises(DockerTrouble, match="does not tell"):
        await anext(changes(Engine(f"unix://{tmp_path}/nobody.sock"), "project", MEMBERS))
