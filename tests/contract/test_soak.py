"""What is benign opens no ticket: full load with no grace at all, and all of `operatorlab monitor soak` with the usual.

`OPERATORLAB_SOAK_MINUTES` says how long each of the two lasts.
"""

import os
import time

import pytest

from operatorlab import Lab
from operatorlab.soak import soak
from operatorlab.subject import Violation

MINUTES = float(os.environ.get("OPERATORLAB_SOAK_MINUTES", "1"))
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60 * MINUTES + 120), pytest.mark.slow]


@pytest.mark.parametrize("lab", [("processes", "full")], indirect=True)
async def test_full_load_opens_no_ticket(lab, record_property):
    await lab.healthy()
    until = time.monotonic() + 60 * MINUTES
    broken, took, cpu = [], [], []
    while time.monotonic() < until:
        cycle = await lab.cycle()
        broken += [finding for finding in cycle.findings if isinstance(finding, Violation)]
        took.append(cycle.observation.duration_s)
        cpu.append(cycle.cost.cpu_s)
    record_property("cycles", len(took))
    record_property("reading_s_median", round(sorted(took)[len(took) // 2], 4))
    record_property("reading_s_max", round(max(took), 4))
    record_property("cycle_cpu_s_median", round(sorted(cpu)[len(cpu) // 2], 4))
    assert not broken
    assert not lab.board.tickets()
    busy = [node.name for node in cycle.observation.nodes if node.facts.get("denied")]
    assert busy == ["node-1", "node-2", "node-3"], "the load reached every node and went beyond the limits"


async def test_benign_life_opens_no_ticket(tmp_path, monkeypatch, record_property):
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path / "home"))
    report = await soak(Lab("ratelimiter", load="none"), minutes=MINUTES)
    record_property("windows", report.windows)
    assert report.ok, report.lines()
    assert all(phase.windows for phase in report.phases)
