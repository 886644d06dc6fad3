"""A reset makes a lab as new, with no more work than that takes, and proves it."""

import asyncio

import pytest
import pytest_asyncio

from operatorlab.errors import StartFailed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def as_new(shared):
    """Each test begins with a lab that is as new."""
    if await shared.freshness():
        await shared.reset()


async def ids(lab) -> dict[str, str]:
    return {one.attrs["Labels"]["com.docker.compose.service"]: one.id for one in await lab.containers.all()}


async def container(lab, service):
    return await lab.containers.need(service)


async def test_what_was_written_is_gone_and_no_container_was_made_again(shared):
    before = await ids(shared)
    await shared.run("redis", "redis-cli", "set", "left", "over")
    await shared.run("node-1", "sh", "-c", "echo junk >/tmp/junk")
    await shared.containers.run("agent", ["sh", "-c", "echo notes >/lab/notes; echo x >/root/x; sleep 600 &"])
    await shared.cut("node-1", "redis")
    await shared.drop("node-2", "redis")
    await shared.drop("node-1", "node-2")
    await shared.pause("node-3")
    await shared.kill("redis")
    await shared.reset()
    assert await ids(shared) == before
    assert await shared.freshness() == {}
    assert (await shared.run("redis", "redis-cli", "exists", "left"))[1].strip() == "0"
    assert (await shared.run("node-1", "ls", "/tmp/junk"))[0] != 0
    assert (await shared.containers.run("agent", ["ls", "-A", "/lab", "/root"])).output.count("notes") == 0
    assert "600" not in (await shared.containers.run("agent", ["ps", "-eo", "args"])).output
    assert not await shared.is_cut("node-1", "redis")
    assert not await shared.dropping("node-2", "redis")
    assert not await shared.dropping("node-1", "node-2")


@pytest.mark.slow
async def test_what_was_made_otherwise_is_made_again_and_nothing_else(shared):
    before = await ids(shared)
    await shared.limit("node-1", cpus=0.1)
    (await container(shared, "node-2")).remove(force=True)
    await shared.disconnect("node-3")
    policy = {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}
    await shared.engine.post(f"/containers/{before['link-node-1']}/update", policy)
    told = await shared.freshness()
    assert told.keys() == {"node-1", "node-2", "node-3", "link-node-1"}
    assert "host.NanoCpus is 100000000, not 1000000000" in told["node-1"]
    assert told["node-2"] == "it is missing"
    assert "networks" in told["node-3"]
    assert "RestartPolicy.Name is 'always', not 'no'" in told["link-node-1"]
    await shared.reset()
    after = await ids(shared)
    assert {name for name in before if before[name] != after[name]} == told.keys()
    assert await shared.freshness() == {}
    assert not await shared.limited("node-1")


@pytest.mark.slow
async def test_a_container_made_again_with_another_environment_is_not_as_new(shared):
    old = await container(shared, "node-2")
    found = await shared.containers.inspect("node-2")
    settings = {name: found["Config"][name] for name in ("Image", "Cmd", "Env", "Labels", "User", "WorkingDir")}
    settings["Env"] = [*(settings["Env"] or []), "EDITED=yes"]
    settings["HostConfig"] = found["HostConfig"]

    def again(client):
        old.remove(force=True)
        answer = client.api.post(f"{client.api.base_url}/v1.41/containers/create", json=settings)
        answer.raise_for_status()
        return client.api.start(answer.json()["Id"])

    await shared.engine(again)
    assert "EDITED=yes" in (await shared.freshness())["node-2"]
    await shared.reset()
    assert await shared.freshness() == {}
    assert "EDITED" not in (await shared.run("node-2", "env"))[1]


@pytest.mark.slow
async def test_containers_that_were_not_there_go_even_a_second_one_of_a_service(shared):
    before = await ids(shared)
    labels = (await container(shared, "node-1")).attrs["Labels"]
    image = "operatorlab/agent:0.1.0"

    def more(client):
        for told in (
            {"com.docker.compose.project": shared.run_id, "operatorlab.part": "system"},
            {**labels, "com.docker.compose.oneoff": "True"},
            {**labels, "com.docker.compose.container-number": "2"},
        ):
            client.containers.run(image, detach=True, network_mode="none", labels=told)

    await shared.engine(more)
    told = await shared.freshness()
    assert list(told.values()) == ["it was not there"] * 3, told
    await shared.reset()
    assert await ids(shared) == before
    assert await shared.freshness() == {}


@pytest.mark.slow
async def test_a_lab_that_cannot_be_made_as_new_says_what_is_not(shared):
    async def meddle():
        """Somebody who makes the same change again, right after the reset undid it."""
        while True:
            try:
                await shared.limit("node-1", cpus=0.6)
            except Exception:  # noqa: BLE001  it is being removed
                await asyncio.sleep(0.05)

    meddling = asyncio.create_task(meddle())
    try:
        with pytest.raises(StartFailed, match=r"not as new after its reset: node-1: host\.NanoCpus is 600000000"):
            await shared.reset()
    finally:
        meddling.cancel()
        await asyncio.wait([meddling])
    await shared.reset()
    assert await shared.freshness() == {}
