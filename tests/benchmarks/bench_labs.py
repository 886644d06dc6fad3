"""How long a rate limiter takes to come up, to be as new again, and to go, on each deployment. Asserts no time."""

import statistics
import time

import pytest

from operatorlab.audit import AuditStore
from operatorlab.deploy.boundary import Choice
from operatorlab.deploy.kinds import bring_up
from operatorlab.registry import find_subject
from operatorlab.subject import DEPLOYMENTS, PROCESSES

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


async def _measure(kind, audit, boundary=None, commands=COMMANDS):
    """Seconds of each deed, all turns."""
    taken = {"up": [], "reset": [], "command": [], "down": []}
    for _ in range(LABS):
        deployment = await _timed(bring_up(kind, find_subject("ratelimiter"), boundary=boundary), taken["up"])
        try:
            for _ in range(RESETS):
                await _timed(deployment.reset(), taken["reset"])
            async with deployment.sandbox(audit) as sandbox:
                for _ in range(commands):
                    await _timed(sandbox.exec("true", 30), taken["command"])
        finally:
            await _timed(deployment.down(), taken["down"])
    return taken


async def test_up_reset_command_down(containers, capsys, tmp_path):
    AuditStore(tmp_path / "audit.db").close()
    found = {kind: await _measure(kind, tmp_path / "audit.db") for kind in DEPLOYMENTS}
    with capsys.disabled():
        _show(found)


async def test_with_and_without_the_boundary_of_processes(capsys, tmp_path):
    found = {
        each: await _measure(PROCESSES, tmp_path / "audit.db", each, 50) for each in (Choice.NONE, Choice.REQUIRED)
    }
    with capsys.disabled():
        _show(found)
        entering = statistics.quantiles(found[Choice.REQUIRED]["command"], n=20)
        print(f"a command inside: {1000 * entering[9]:.1f} ms median, {1000 * entering[18]:.1f} ms p95")


def _show(found):
    names = list(found)
    columns = "".join(f"{name:>12} {'min–max':>15}" for name in names)
    print(f"\n{'seconds':10}{columns} {'ratio':>7}")
    for deed in found[names[0]]:
        medians = [statistics.median(found[name][deed]) for name in names]
        cells = ""
        for name, median in zip(names, medians, strict=True):
            span = f"{min(found[name][deed]):.3f}–{max(found[name][deed]):.3f}"
            cells += f"{median:12.3f} {span:>15}"
        print(f"{deed:10}{cells} {medians[1] / medians[0]:7.1f}")
