"""How long a rate limiter takes to come up, to be as new again, and to go, on each deployment. Asserts no time."""

import statistics
import time

import pytest

from operatorlab.audit import AuditStore
from operatorlab.deploy.kinds import bring_up
from operatorlab.registry import find_subject
from operatorlab.subject import DEPLOYMENTS

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]
LABS, RESETS, COMMANDS = 2, 2, 10


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERATORLAB_HOME", str(tmp_path))


async def _timed(work, times):
    started = time.perf_counter()
    result = await work
    times.append(time.perf_counter() - started)
    return result


async def _measure(kind, audit):
    """Seconds of each deed, all turns."""
    taken = {"up": [], "reset": [], "command": [], "down": []}
    for _ in range(LABS):
        deployment = await _timed(bring_up(kind, find_subject("ratelimiter")), taken["up"])
        try:
            for _ in range(RESETS):
                await _timed(deployment.reset(), taken["reset"])
            async with deployment.sandbox(audit) as sandbox:
                for _ in range(COMMANDS):
                    await _timed(sandbox.exec("true", 30), taken["command"])
        finally:
            await _timed(deployment.down(), taken["down"])
    return taken


async def test_up_reset_command_down(containers, capsys, tmp_path):
    AuditStore(tmp_path / "audit.db").close()
    found = {kind: await _measure(kind, tmp_path / "audit.db") for kind in DEPLOYMENTS}
    with capsys.disabled():
        columns = "".join(f"{kind:>12} {'min–max':>15}" for kind in DEPLOYMENTS)
        print(f"\n{'seconds':10}{columns} {'ratio':>7}")
        for deed in found[DEPLOYMENTS[0]]:
            medians = [statistics.median(found[kind][deed]) for kind in DEPLOYMENTS]
            cells = ""
            for kind, median in zip(DEPLOYMENTS, medians, strict=True):
                span = f"{min(found[kind][deed]):.3f}–{max(found[kind][deed]):.3f}"
                cells += f"{median:12.3f} {span:>15}"
            print(f"{deed:10}{cells} {medians[1] / medians[0]:7.1f}")
