"""How long a rate limiter takes to come up, to be as new again, and to go. Prints; asserts no time."""

import statistics
import time

import pytest

from operatorlab.deploy.processes import ProcessDeployment
from operatorlab.registry import find_subject

pytestmark = pytest.mark.benchmark
LABS, RESETS = 4, 4


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path))


async def _timed(work, times):
    started = time.perf_counter()
    result = await work
    times.append(time.perf_counter() - started)
    return result


async def test_up_reset_down(capsys):
    subject = find_subject("ratelimiter")
    up, reset, down = [], [], []
    for _ in range(LABS):
        deployment = await _timed(ProcessDeployment.up(subject), up)
        for _ in range(RESETS):
            await _timed(deployment.reset(), reset)
        await _timed(deployment.down(), down)
    with capsys.disabled():
        print(f"\n{'processes':10} {'median':>8} {'min':>8} {'max':>8} {'n':>4} {'÷ up':>6}")
        for name, times in (("up", up), ("reset", reset), ("down", down)):
            median = statistics.median(times)
            ratio = median / statistics.median(up)
            print(f"{name:10} {median:7.2f}s {min(times):7.2f}s {max(times):7.2f}s {len(times):4} {ratio:6.2f}")
