"""How fast trials go, and where their time goes: a campaign of the runbook on the rate limiter, with full audit.

`OPERATORLAB_BENCH_REPEATS` is how often each of the five faults is tried (4). 40 are 200 trials.
"""

import os
import statistics
import time
from pathlib import Path

import pytest

from eval.campaign import parse_campaign
from eval.run import create, local, run

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]
REPEATS = int(os.environ.get("OPERATORLAB_BENCH_REPEATS", "4"))
CAMPAIGN = """
name: bench
scenarios:
  - {fault: node_crash, target: node-2}
  - {fault: node_hang, target: node-1}
  - {fault: redis_crash}
  - {fault: redis_partition, target: node-3}
  - {fault: limit_misconfigured, target: tenant-a}
variants: [runbook]
repeats: %d
timing: {detect_s: 12, verify_s: 12, deadline_s: 120}
"""
NEEDED = {"injected", "ticket", "report", "verified", "held"}
"""The phases a trial is about; the others are the harness's own."""


@pytest.mark.parametrize("jobs", [1, 2, 3])
async def test_trials_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int):
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path / "home"))
    with create(parse_campaign(CAMPAIGN % REPEATS), tmp_path / "bench") as file:
        began = time.monotonic()
        await run(file, local(file, jobs), jobs)
        took_s = time.monotonic() - began
        scores = file.scores()
    print(f"\n{jobs} jobs: {len(scores)} trials in {took_s:.0f} s, {len(scores) / took_s * 3600:.0f} an hour")
    whole = sum(sum(score.phases.values()) for score in scores)
    for phase in dict.fromkeys(name for score in scores for name in score.phases):
        seconds = [score.phases.get(phase, 0.0) for score in scores]
        mark = " " if phase in NEEDED else "*"
        print(f"  {mark} until {phase:9} {statistics.median(seconds):6.2f} s  {sum(seconds) / whole:4.0%}")
    own = [sum(value for name, value in score.phases.items() if name not in NEEDED) for score in scores]
    print(f"  * of the harness: {statistics.median(own):.2f} s a trial; successes {sum(s.success for s in scores)}")
