"""The same trials on a Dask cluster, also when one of its workers dies."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from eval.campaign import expand, parse_campaign
from eval.cluster import LOCAL, Dask
from eval.evidence import Ended, Evidence
from eval.run import create, run
from eval.score import Verdict
from operatorlab.audit import AuditStore

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.filterwarnings("default")]
CAMPAIGN = """
name: spread
scenarios: [{fault: node_crash, target: node-2}, {control: nothing, load: none}]
variants: [runbook, noop]
timing: {detect_s: 8, verify_s: 3, deadline_s: 120}
"""


async def test_a_campaign_on_a_cluster_of_two_workers(tmp_path: Path):
    with create(parse_campaign(CAMPAIGN), tmp_path / "spread") as file:
        executor = Dask(LOCAL, 2, file.path.parent / "audits")
        assert await run(file, executor, 2) == "finished"
        verdicts = [score.verdict for score in file.scores()]
        calm = Verdict.CORRECTLY_LEFT_ALONE
        assert verdicts == [Verdict.FIXED_CLEAN, Verdict.UNFIXED, calm, calm]
        for evidence in file.evidence():  # their audits came home
            with AuditStore(file.audit_of(evidence.trial.id), readonly=True) as store:
                assert store.verify(evidence.chain).ok
    assert not left()


async def test_a_worker_that_dies_takes_no_trial_with_it(tmp_path: Path):
    trials = expand(parse_campaign(CAMPAIGN))
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "asynchronous": True}
    async with distributed.LocalCluster(**options) as cluster:
        running = asyncio.create_task(collect(Dask(cluster.scheduler_address, 2, tmp_path), trials))
        while not (busy := [nanny.pid for nanny in cluster.workers.values() if workers_of(nanny.pid)]):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        os.kill(busy[0], signal.SIGKILL)
        found = await running
    assert {one.trial.id for one in found} == {trial.id for trial in trials}
    assert {one.ended for one in found} == {Ended.FINISHED}
    assert not left()


async def collect(executor: Dask, trials) -> list[Evidence]:
    return [one async for one in executor.run(trials)]


def workers_of(pid: int) -> list[psutil.Process]:
    try:
        return [one for one in psutil.Process(pid).children() if "eval.worker" in one.cmdline()]
    except psutil.Error:
        return []


def left() -> list[str]:
    """Workers that still run, half a minute later."""
    mine = [
        one
        for one in psutil.process_iter()
        if "eval.worker" in _line(one) and _home(one) == os.environ["OPERATORLAB_HOME"]
    ]
    _, alive = psutil.wait_procs(mine, timeout=30)
    return [str(one) for one in alive]


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _home(process: psutil.Process) -> str:
    try:
        return process.environ().get("OPERATORLAB_HOME", "")
    except psutil.Error:
        return ""
