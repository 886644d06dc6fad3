"""`operatorlab load` on a real lab: what the clients see is told and kept."""

import asyncio
import signal
import sys

import pytest

from operatorlab import AuditStore, Lab


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "operatorlab", "load", *arguments, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path))


async def test_what_clients_see_is_printed_and_stored_until_it_is_asked_to_end():
    async with Lab("ratelimiter", load="none") as lab:
        load = await _start("steady", "--run", lab.run_id)
        assert load.stdout is not None
        assert b"steady" in await load.stdout.readline()
        assert b"allowed" in await load.stdout.readline()
        load.send_signal(signal.SIGINT)
        out, err = await load.communicate()
        assert (load.returncode, err) == (0, b"")
        assert out.endswith(b"ended\n")
        run = lab.run_id
    with AuditStore() as store:
        (seen,) = store.db.query("select sum(allowed) as allowed, sum(errors) as errors from client_samples")
        assert seen["allowed"] > 0
        assert store.verify().ok
    gone = await _start("--run", run)
    _, err = await gone.communicate()
    assert gone.returncode == 2
    assert run.encode() in err


async def test_an_unknown_profile_names_those_there_are():
    async with Lab("ratelimiter", load="none") as lab:
        load = await _start("stedy", "--run", lab.run_id)
        _, err = await load.communicate()
        assert load.returncode == 2
        assert b"did you mean 'steady'" in err
