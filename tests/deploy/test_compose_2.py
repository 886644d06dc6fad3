"""Labs come up with Compose 2 as they do with docker-compose 1.29, and an operator may use it through the guard.

`OPERATORLAB_COMPOSE_2` names a folder with `cli-plugins/docker-compose`, as `.ci/compose-2 FOLDER` makes one; without
it, the plugin of this machine is used.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from operatorlab.audit import AuditStore
from operatorlab.deploy.compose import ComposeDeployment
from operatorlab.deploy.compose.command import compose_command
from operatorlab.subject import MemberState
from subjects.ratelimiter.subject import RateLimiter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def compose_2(containers, monkeypatch, tmp_path):
    """`docker compose` is Compose 2, for the laboratory too."""
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path / "home"))
    if folder := os.environ.get("OPERATORLAB_COMPOSE_2"):
        monkeypatch.setenv("DOCKER_CONFIG", folder)
    command = [shutil.which("docker") or "docker", "compose", "version", "--short"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if not told.stdout.lstrip("v").startswith("2."):
        pytest.skip(f"no Compose 2 here: {told.stdout or told.stderr}")
    compose_command.cache_clear()
    yield
    compose_command.cache_clear()


async def test_a_lab_comes_up_is_operated_through_the_guard_is_made_as_new_and_goes(compose_2, tmp_path):
    lab = await ComposeDeployment.up(RateLimiter())
    try:
        with AuditStore(tmp_path / "audit.db") as store:
            store.begin_run(lab.run_id, lab.subject.name, lab.kind, str(lab.folder))
            async with lab.sandbox(store.path):
                with tempfile.TemporaryDirectory() as short:  # a socket's path has 107 letters at most
                    socket = Path(short) / "docker.sock"
                    socket.symlink_to(next(lab.folder.glob("guard/operate/*.sock")))
                    await _operate(f"unix://{socket}", lab.folder / "desk", lab.run_id)
            assert {await lab.state(node) for node in ("node-1", "node-2", "node-3")} == {MemberState.RUNNING}
            refused = [event.payload for event in store.events(kinds=["guard.refused"])]
            assert [one["path"].rpartition("/containers/")[2] for one in refused] == [f"{lab.run_id}-agent-1/stop"]
        await lab.reset()
        assert not await lab.freshness()
    finally:
        await lab.down()


async def _operate(host, desk, run):
    assert set((await _run(host, desk, "compose", "ps", "--services")).split()) >= {"node-1", "redis", "link-node-1"}
    assert "ready" in await _run(host, desk, "compose", "logs", "--tail", "5", "node-1")
    await _run(host, desk, "compose", "kill", "node-2")
    await _run(host, desk, "compose", "up", "-d", "node-2")
    await _run(host, desk, "rm", "-f", f"{run}-node-3-1")
    await _run(host, desk, "compose", "up", "-d", "node-3")
    await _run(host, desk, "compose", "restart", "node-1")
    assert "10001" in await _run(host, desk, "compose", "exec", "-T", "node-1", "id")
    await _run(host, desk, "compose", "up", "-d", "--force-recreate", "node-1")
    assert "redis-server" in await _run(host, desk, "compose", "top", "redis")
    await _run(host, desk, "stop", f"{run}-agent-1", code=1)


async def _run(host, desk, *words, code=0):
    """What the operator's `docker` prints, in its folder, through its socket."""
    process = await asyncio.create_subprocess_exec(
        "docker", *words, cwd=desk, env={**os.environ, "DOCKER_HOST": host},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
    assert process.returncode == code, (words, told)
    return told
