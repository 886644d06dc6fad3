"""A campaign stops when success is known well enough, and what that means for its intervals."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np
import pytest

from eval.campaign import expand, parse_campaign
from eval.cli import running
from eval.evidence import Ended, Evidence, Trial
from eval.precision import Precision
from eval.run import create, run
from eval.stats import rate
from operatorlab.errors import BadParameter

WANTED = """
name: mine
scenarios: [{fault: node_crash, target: node-2}, {fault: node_hang, target: node-1}]
variants: [runbook, noop]
repeats: 30
stop: {width: %s, at_least: %d}
"""


class Ready:
    """Brings evidence of trials that went well, at once; those that `fails` says crash. Notes what it was asked for."""

    name = "ready"

    def __init__(self, make, fails=lambda trial: False) -> None:
        self.make, self.fails = make, fails
        self.asked: list[Sequence[Trial]] = []
        self.ended = False

    async def run(self, trials: Sequence[Trial]) -> AsyncGenerator[Evidence]:
        self.asked.append(trials)
        try:
            for trial in trials:
                crashed = {"ended": Ended.CRASHED, "error": "gone", "window": None, "after": None}
                yield self.make.evidence(trial=trial, **(crashed if self.fails(trial) else {}))
        finally:
            self.ended = True


async def test_it_stops_when_each_interval_is_narrow_and_resume_runs_the_rest(make, tmp_path: Path):
    executor = Ready(make, fails=lambda trial: trial.variant.name == "noop" and trial.repeat % 5 == 0)
    with create(parse_campaign(WANTED % ("0.3", 10)), tmp_path / "mine") as file:
        how = await run(file, executor, 1)
        assert executor.ended
        assert how.startswith("enough: each interval is narrower than 0.3: runbook 100% (")
        assert f"{file.total - file.done} trials stay open, `resume` runs them" in how
        assert 40 < file.done < file.total
        rates = {name: [score.success for _, score in file.judged(name)] for name in ("runbook", "noop")}
        for seen in rates.values():
            found = rate(sum(seen), len(seen))
            assert found.high - found.low < 0.3
        before = rate(sum(rates["noop"][:-1]), len(rates["noop"]) - 1)
        assert before.high - before.low >= 0.3  # not sooner than it may

        left = file.open_trials()
        assert await run(file, executor, 1) == "finished"
        assert executor.asked[1] == left
        assert file.done == file.total
        assert [one["how"] for one in file.runs()] == [how, "finished"]


async def test_it_takes_up_what_was_run_before(make, tmp_path: Path):
    campaign = parse_campaign(WANTED % ("0.3", 10))
    with create(campaign, tmp_path / "whole") as whole, create(campaign, tmp_path / "parted") as parted:
        how = await run(whole, Ready(make), 1)
        for trial in parted.trials()[:7]:  # a run that was cut off here
            parted.store(make.evidence(trial=trial))
        assert await run(parted, Ready(make), 1) == how
        assert parted.done == whole.done


async def test_what_stops_at_the_last_trial_has_finished(make, tmp_path: Path):
    text = WANTED.replace("repeats: 30", "repeats: 5") % ("0.3", 10)
    with create(parse_campaign(text), tmp_path / "mine") as file:
        assert await run(file, Ready(make), 1) == "finished"


def precision(width: float = 0.35, at_least: int = 8, done=None) -> tuple[Precision, list[Trial]]:
    trials = expand(parse_campaign(WANTED % ("0.3", 10)))
    return Precision(width, at_least, trials, done or {}), trials


def test_only_the_beginning_that_every_variant_has_been_through_counts():
    known, trials = precision()
    for trial in trials[1:]:  # the first one takes its time
        known.add(trial.id, success=True)
    assert {one.n for one in known.rates.values()} == {0}
    assert not known.reached
    known.add(trials[0].id, success=False)
    assert {name: (one.k, one.n) for name, one in known.rates.items()} == {"runbook": (59, 60), "noop": (60, 60)}
    assert known.reached


def test_each_variant_must_be_known_and_tried_often_enough():
    known, trials = precision(at_least=20)
    for trial in trials[:38]:
        known.add(trial.id, success=True)
    assert not known.reached  # narrow enough, but 19 of each
    for trial in trials[38:40]:
        known.add(trial.id, success=True)
    assert known.reached
    torn, trials = precision(width=0.2)
    for number, trial in enumerate(trials[:80]):
        torn.add(trial.id, success=trial.variant.name == "runbook" or number % 4 == 1)
    assert torn.rates["runbook"].high - torn.rates["runbook"].low < 0.2
    assert not torn.reached


@pytest.mark.parametrize("bad", ["width: 0", "width: 1", "width: 0.2, at_least: 1"])
def test_what_cannot_be_asked_for_is_refused(bad):
    with pytest.raises(BadParameter, match="stop"):
        parse_campaign(f"{{name: x, scenarios: [{{fault: node_crash}}], variants: [noop], stop: {{{bad}}}}}")


def test_the_command_says_so_and_that_is_no_failure(make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with create(parse_campaign(WANTED % ("0.3", 10)), tmp_path / "mine") as file, pytest.raises(SystemExit) as ended:
        running.go(file, jobs=None, here=lambda *_: Ready(make))
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "enough: each interval is narrower than 0.3" in said
    assert "operatorlab eval resume mine" in said


def covered(p: float, width: float, at_least: int, most: int) -> float:
    """How often the interval holds `p` where the rule looks after every trial: exact, over all ways to get there."""
    ways, held = np.array([1.0]), 0.0
    for n in range(1, most + 1):
        ways = np.append(ways * (1 - p), 0) + np.append(0, ways * p)
        low, high = wilson(np.arange(n + 1), n)
        stops = (high - low < width) if n < most else np.ones(n + 1, bool)
        if n >= at_least:
            held += float(ways[stops & (low <= p) & (p <= high)].sum())
            ways = np.where(stops, 0, ways)
    return held


def wilson(k, n):
    z = 1.959963984540054
    middle, half = k + z * z / 2, z * np.sqrt(k * (n - k) / n + z * z / 4)
    return (middle - half) / (n + z * z), (middle + half) / (n + z * z)


def test_the_intervals_of_a_campaign_that_stopped_hold_about_as_often_as_they_say():
    for k, n in ((0, 20), (7, 31), (60, 60)):
        low, high = wilson(np.arange(n + 1), n)
        assert (low[k], high[k]) == pytest.approx((rate(k, n).low, rate(k, n).high))
    shares = [covered(p, 0.2, 20, 120) for p in np.linspace(0.02, 0.98, 97)]
    assert min(shares) > 0.935  # as docs/evaluation.md says
    assert np.mean(shares) > 0.95
