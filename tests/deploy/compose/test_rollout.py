"""Members made anew with other variables: what they have, who sees it, and how it is undone."""

import asyncio

import pytest
import pytest_asyncio

from operatorlab.errors import UnknownName
from operatorlab.subject import MemberState

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
WRONG = {"RATELIMITER_REDIS_DB": "1", "ODD": "a$b ${c} d=e"}


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def as_new(shared):
    """Each test begins with a lab that is as new."""
    if await shared.freshness():
        await shared.reset()


async def ids(lab) -> dict[str, str]:
    return {one.attrs["Labels"]["com.docker.compose.service"]: one.id for one in await lab.containers.all()}


async def test_it_has_the_variables_nobody_else_is_touched_and_a_plain_up_puts_it_right(shared):
    before = await ids(shared)
    assert await shared.rolled_out("node-1") == {}
    await shared.roll_out("node-1", WRONG)
    assert await shared.rolled_out("node-1") == WRONG
    assert (await shared.run("node-1", "printenv", "ODD"))[1] == f"{WRONG['ODD']}\n"
    after = await ids(shared)
    assert {name for name in before if before[name] != after[name]} == {"node-1"}
    told = await shared.freshness()
    assert told.keys() == {"node-1"}
    assert "'RATELIMITER_REDIS_DB=1'" in told["node-1"]

    await shared.compose("up", "-d", "--no-deps", "node-1")
    assert await shared.rolled_out("node-1") == {}
    assert await shared.freshness() == {}
    right = await ids(shared)
    await shared.compose("up", "-d", "--no-deps", "node-1")
    assert await ids(shared) == right, "what is as declared is left alone"


@pytest.mark.slow
async def test_one_that_dies_of_it_is_not_waited_for_and_a_reset_makes_it_as_new(shared):
    await shared.roll_out("node-1", {"RATELIMITER_REDIS_PORT": "6379;"})
    assert await shared.ended("node-1", 20)
    assert await shared.state("node-1") is MemberState.STOPPED
    assert "RATELIMITER_REDIS_PORT: Input should be a valid integer" in await shared.containers.log("node-1", 5)
    await shared.reset()
    assert await shared.rolled_out("node-1") == {}
    assert await shared.state("node-1") is MemberState.RUNNING


@pytest.mark.slow
async def test_however_it_is_and_several_at_a_time(shared):
    await shared.pause("node-1")
    await shared.kill("node-2")
    (await shared.containers.need("node-3")).remove(force=True)
    assert await shared.rolled_out("node-3") == {}
    nodes = ("node-1", "node-2", "node-3")
    await asyncio.gather(*(shared.roll_out(node, {"ODD": node}) for node in nodes))
    for node in nodes:
        assert await shared.rolled_out(node) == {"ODD": node}
        assert await shared.state(node) is MemberState.RUNNING
    await asyncio.gather(*(shared.roll_out(node, {}) for node in nodes))
    assert await shared.freshness() == {}


@pytest.mark.slow
async def test_one_that_lives_on_has_not_ended(shared):
    assert not await shared.ended("node-1", 0.3)
    with pytest.raises(UnknownName):
        await shared.ended("node-9", 0.3)
    with pytest.raises(UnknownName):
        await shared.rolled_out("prometheus")
