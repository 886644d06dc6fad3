"""A lab of containers that a file's tests share; each test finds it as new and takes care that the next one does."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from operatorlab.deploy.compose import ComposeDeployment
from operatorlab.deploy.compose.engine import Engine, find_daemon
from subjects.ratelimiter.subject import RateLimiter


@pytest.fixture(autouse=True)
def lab_home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`OPERATORLAB_HOME`: the shared lab's for its tests, else one of the test's own."""
    request.getfixturevalue("containers")
    if "shared" in request.fixturenames:
        request.getfixturevalue("shared")
        return Path(os.environ["OPERATORLAB_HOME"])
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(containers: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ComposeDeployment]:
    """The rate limiter, up, for all tests of a file."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPERATORLAB_HOME", str(tmp_path_factory.mktemp("shared") / "home"))
        lab = await ComposeDeployment.up(RateLimiter())
        yield lab
        await lab.down()
        assert left_of(lab.run_id) == []


def left_of(run_id: str) -> list[str]:
    label = {"label": f"com.docker.compose.project={run_id}"}

    def look(client):
        found = [*client.containers.list(all=True, sparse=True, filters=label)]
        found += [*client.networks.list(filters=label), *client.volumes.list(filters=label)]
        return [repr(one) for one in found]

    return Engine(find_daemon()).now(look)


@pytest.fixture
def left() -> Callable[[str], list[str]]:
    """What of a lab's containers, networks and volumes is there."""
    return left_of
