"""Runs a campaign, or what is left of one: trials through an executor, evidence into the campaign file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from eval.campaign import Campaign, Stop, expand
from eval.evidence import Ended, Evidence, Trial
from eval.executor import Local, OnProgress
from eval.file import CampaignFile
from eval.precision import Precision
from eval.score import Score
from eval.variant import reachable
from operatorlab.deploy.kinds import possible
from operatorlab.errors import BadParameter
from operatorlab.registry import find_subject


class Executor(Protocol):
    """Something that runs trials and brings their evidence home, in any order, each once."""

    name: str

    def run(self, trials: Sequence[Trial]) -> AsyncGenerator[Evidence]: ...


ENOUGH = "enough"
"""How the word begins on a campaign that stopped because it knows what it was to find out."""
OnScore = Callable[[Evidence, Score], None]


def create(campaign: Campaign, folder: Path | None = None) -> CampaignFile:
    """A new campaign file with every trial, none of them run."""
    return CampaignFile.create(campaign, expand(campaign), folder)


def local(file: CampaignFile, jobs: int, on_progress: OnProgress = lambda _: None) -> Local:
    """An executor on this machine for the trials of `file`."""
    return Local(jobs, file.path.parent / "audits", file.path.parent / "workers", on_progress)


async def run(file: CampaignFile, executor: Executor, jobs: int, on_score: OnScore = lambda *_: None) -> str:
    """Run the trials that have no evidence; how that ended: `finished`, or why it stopped before.

    Success that is known well enough before the first of them stops nothing: whoever goes on then wants the rest.

    BadParameter if another process runs this campaign, UserError if a model cannot be asked or no lab can come up.
    Interrupted, it leaves nothing running and can be resumed.
    """
    variants = {trial.variant.name: trial.variant for trial in file.open_trials()}
    subject = find_subject(file.campaign.subject)
    await possible(file.campaign.deployment, subject)
    await reachable(variants.values(), subject)
    with _alone(file.path.parent):
        running, how = file.begin_run(jobs, executor.name), "interrupted"
        try:
            how = await _run(file, executor, on_score)
        finally:
            file.end_run(running, how)
    return how


async def _run(file: CampaignFile, executor: Executor, on_score: OnScore) -> str:
    watch, precision = _Watch(file.campaign.stop), _precision(file)
    async with contextlib.aclosing(executor.run(file.open_trials())) as coming:
        async for evidence in coming:
            judged = file.store(evidence)
            on_score(evidence, judged)
            if why := watch.enough(evidence, judged):
                return why
            if precision is not None:
                precision.add(evidence.trial.id, success=judged.success)
                if precision.reached and file.done < file.total:
                    return _known(precision, file)
    return "finished"


def _precision(file: CampaignFile) -> Precision | None:
    """What says that success is known well enough; None where nothing was asked for, or it is known already."""
    stop = file.campaign.stop
    if stop.width is None:
        return None
    done = {score.trial: score.success for score in file.scores()}
    precision = Precision(stop.width, stop.at_least, file.trials(), done)
    return None if precision.reached else precision


def _known(precision: Precision, file: CampaignFile) -> str:
    rates = ", ".join(f"{name} {rate}" for name, rate in precision.rates.items())
    width, open_ = file.campaign.stop.width, file.total - file.done
    return f"{ENOUGH}: each interval is narrower than {width:g}: {rates}; {open_} trials stay open, `resume` runs them"


class _Watch:
    """Says when a campaign has to stop before its end."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._began = time.monotonic()
        self._spent = 0.0
        self._crashes = 0

    def enough(self, evidence: Evidence, judged: Score) -> str:
        """Why to stop now; empty to go on."""
        self._spent += judged.cost.cost_usd or 0.0
        self._crashes = 0 if evidence.ended in (Ended.FINISHED, Ended.TIMED_OUT) else self._crashes + 1
        stop = self._stop
        if stop.crashes is not None and self._crashes >= stop.crashes:
            return f"stopped: {self._crashes} trials in a row crashed; the last one: {evidence.error}"
        if stop.cost_usd is not None and self._spent >= stop.cost_usd:
            return f"stopped: ${self._spent:.2f} were spent"
        if stop.wall_s is not None and time.monotonic() - self._began >= stop.wall_s:
            return f"stopped: {stop.wall_s:g} s were over"
        return ""


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time run a campaign; the lock goes with the process that holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadParameter(f"another process runs the campaign in {folder} now") from None
        yield
    finally:
        os.close(handle)
