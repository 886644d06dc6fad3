"""Trials in worker processes: killed workers, interrupted and killed campaigns, and what is left of them."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from eval.campaign import expand, parse_campaign, read_campaign
from eval.evidence import Ended, Evidence
from eval.executor import Local, Progress
from eval.file import CampaignFile
from eval.run import create, local, run
from eval.score import Verdict
from operatorlab.errors import BadParameter, UserError

CALM = """
name: calm
scenarios: [{control: nothing, load: none}]
variants: [noop]
repeats: %d
timing: {detect_s: 4, verify_s: 4, deadline_s: 60}
jobs: 1
"""
BROKEN = """
name: broken
scenarios: [{fault: node_crash, target: node-2}, {fault: limit_misconfigured}]
variants: [runbook, noop]
timing: {detect_s: 8, verify_s: 3, deadline_s: 90}
"""


RESUME = [sys.executable, "-m", "operatorlab", "eval", "resume"]


def executor(tmp_path: Path, jobs: int, on_progress) -> Local:
    for name in ("audits", "workers"):
        (tmp_path / name).mkdir()
    return Local(jobs, tmp_path / "audits", tmp_path / "workers", on_progress)


def workers_of(pid: int) -> list[psutil.Process]:
    return [one for one in psutil.Process(pid).children() if "eval.worker" in one.cmdline()]


@pytest.mark.slow
async def test_a_worker_that_is_killed_is_evidence_and_the_others_go_on(tmp_path: Path):
    trials = expand(parse_campaign(BROKEN))[:3]
    killed: list[str] = []

    def kill_once(progress: Progress) -> None:
        if progress.phase == "operate" and not killed:
            killed.append(progress.trial.id)
            for worker in workers_of(os.getpid()):
                worker.kill()

    found: dict[str, Evidence] = {}
    async for evidence in executor(tmp_path, 1, kill_once).run(trials):
        found[evidence.trial.id] = evidence
    assert set(found) == {trial.id for trial in trials}
    (victim,) = killed
    assert found[victim].ended is Ended.KILLED
    assert found[victim].faults
    assert found[victim].tickets
    assert found[victim].samples
    assert {one.ended for id_, one in found.items() if id_ != victim} == {Ended.FINISHED}


@pytest.mark.slow
async def test_a_worker_that_does_not_answer_is_ended_at_its_deadline(tmp_path: Path):
    (trial,) = expand(parse_campaign(CALM % 1))

    def freeze(progress: Progress) -> None:
        for worker in workers_of(os.getpid()):
            worker.suspend()

    timing = trial.timing.model_copy(update={"deadline_s": 12.0})
    frozen = replace(executor(tmp_path, 1, freeze), grace_s=1.0)
    running = frozen.run([trial.model_copy(update={"timing": timing})])
    (evidence,) = [one async for one in running]
    assert evidence.ended is Ended.KILLED
    assert "too late" in evidence.error
    assert not workers_of(os.getpid())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("many", [4, pytest.param(8, marks=pytest.mark.every_fault)])
async def test_parallel_trials_come_to_the_same_verdicts_as_one_after_the_other(tmp_path: Path, many: int):
    verdicts = []
    for jobs in (1, many):
        with create(parse_campaign(BROKEN), tmp_path / str(jobs)) as file:
            assert await run(file, local(file, jobs), jobs) == "finished"
            verdicts.append([(score.trial, score.verdict) for score in file.scores()])
    assert verdicts[0] == verdicts[1]
    assert {verdict for _, verdict in verdicts[0]} == {Verdict.FIXED_CLEAN, Verdict.UNFIXED}


@pytest.mark.slow
async def test_one_process_at_a_time_runs_a_campaign(tmp_path: Path):
    with create(parse_campaign(CALM % 1), tmp_path / "mine") as file, CampaignFile(file.path) as same:
        running = asyncio.create_task(run(file, local(file, 1), 1))
        await asyncio.sleep(0)
        with pytest.raises(BadParameter, match="another process runs"):
            await run(same, local(same, 1), 1)
        assert await running == "finished"


def start(folder: Path, text: str, *arguments: str) -> subprocess.Popen[str]:
    path = folder.with_suffix(".yaml")
    path.write_text(text)
    command = [sys.executable, "-m", "operatorlab", "eval", "run", str(path), "--to", str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def resume(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RESUME, str(folder)], capture_output=True, text=True, timeout=150, check=False)


def ended(pids: list[int]) -> bool:
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=30)
    return not alive


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_running_and_a_campaign_that_can_be_resumed(tmp_path: Path):
    process = start(tmp_path / "calm", CALM % 3)
    assert process.stderr is not None
    assert "[1/3]" in process.stderr.readline()
    workers = [worker.pid for worker in workers_of(process.pid)]
    assert workers
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "operatorlab eval resume calm" in out
    assert ended(workers)

    again = resume(tmp_path / "calm")
    assert again.returncode == 0, again.stderr
    with CampaignFile(tmp_path / "calm" / "campaign.db") as file:
        assert file.done == file.total == 3
        assert [run["how"] for run in file.runs()] == ["interrupted", "finished"]
        assert all(one.ended is Ended.FINISHED for one in file.evidence())


@pytest.mark.slow
@pytest.mark.every_fault
@pytest.mark.timeout(3000)
async def test_two_seeds_of_the_whole_example_campaign_come_to_the_same_verdicts(tmp_path: Path):
    verdicts = []
    for seed in (7, 8):
        campaign = read_campaign("ratelimiter-core").model_copy(update={"seed": seed, "repeats": 1})
        with create(campaign, tmp_path / str(seed)) as file:
            assert await run(file, local(file, campaign.jobs), campaign.jobs) == "finished"
            by_trial = {score.trial: score.verdict for score in file.scores()}
            verdicts.append([(trial.scenario.label, by_trial[trial.id]) for trial in file.trials()])
    assert verdicts[0] == verdicts[1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.every_fault)])
def test_a_campaign_that_is_killed_again_and_again_loses_no_trial_and_runs_none_twice(tmp_path: Path, kills: int):
    folder, chance = tmp_path / "calm", random.Random(kills)
    with create(parse_campaign(CALM % kills), folder) as file:
        trials = file.trials()
    stored = []
    for after_s in [chance.uniform(1.0, 15.0) for _ in range(kills)]:
        process = subprocess.Popen([*RESUME, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with contextlib.suppress(subprocess.TimeoutExpired):  # on a quick machine it may be done before
            process.wait(after_s)
        workers = [worker.pid for worker in workers_of(process.pid)] if process.poll() is None else []
        process.kill()
        process.communicate()
        assert ended(workers)  # their input has ended: each takes its lab down
        with CampaignFile(folder / "campaign.db") as file:
            stored.append({one.trial.id: one for one in file.evidence()})
    assert resume(folder).returncode == 0
    with CampaignFile(folder / "campaign.db") as file:
        final = {one.trial.id: one for one in file.evidence()}
        assert file.trials() == trials
    assert set(final) == {trial.id for trial in trials}
    for earlier in stored:
        assert all(final[id_] == evidence for id_, evidence in earlier.items())  # what was stored was not run again


async def test_a_model_without_a_key_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with create(parse_campaign((CALM % 1).replace("noop", "claude")), tmp_path / "paid") as file:
        with pytest.raises(UserError, match="needs an API key"):
            await run(file, local(file, 1), 1)
        assert (file.done, file.runs()) == (0, [])
