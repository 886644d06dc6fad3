"""The quickstart notebook: its form, and whole runs of it on the real system."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from operatorlab.audit import AuditStore
from operatorlab.notebook.files import code_cells, load, tags
from operatorlab.notebook.parameters import Quickstart, parse
from operatorlab.notebook.result import read
from operatorlab.notebook.run import Ending, run_notebook

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "00_quickstart.ipynb"


def left_running(home):
    """Processes that carry a run of this home, be it a lab or a notebook."""
    runs = {run.name for run in (home / "runs").iterdir()} if (home / "runs").is_dir() else set()
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if runs & {environment.get("OPERATORLAB_RUN"), environment.get("OPERATORLAB_NOTEBOOK_RUN")}:
            found.append(process)
    return found


def test_it_is_small_and_clean():
    content = load(NOTEBOOK)
    cells = code_cells(content)
    assert len(cells) <= 12
    assert max(len(cell.source.splitlines()) for cell in cells) <= 10
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells), "outputs are stripped in git"
    assert content.cells[0].cell_type == "markdown"
    assert tags(content.cells[1]) == ["parameters"]
    assert content.metadata.kernelspec.name == "python3"


async def test_it_repairs_a_crash_and_tells_it_all(lab_home):
    done = await run_notebook(NOTEBOOK, parse(Quickstart, {}), progress=False)
    assert done.error == ""
    assert done.success
    assert done.result.outcome == "resolved_verified"
    outputs = [out for cell in code_cells(load(done.notebook)) for out in cell.outputs]
    kinds = {kind for out in outputs for kind in out.get("data", {})}
    assert "image/svg+xml" in kinds
    assert "application/vnd.jupyter.widget-view+json" not in kinds, "panels settle as HTML"
    page = done.report.read_text()
    for told in (
        "runbook (deterministic, not a model)",
        "✖",
        "connections",  # refused, or closed at once where a forwarder stands between
        "resolved_verified",
        "supervisorctl",
    ):
        assert told in page
    with AuditStore(lab_home / "audit.db") as store:
        assert [row["outcome"] for row in store.db.query("select outcome from sessions")] == ["resolved_verified"]
        assert [row["ended_how"] for row in store.db.query("select ended_how from runs")] == ["stopped"]
        assert store.verify().ok
    assert left_running(lab_home) == []


@pytest.mark.slow
def test_plain_papermill_runs_it_too(lab_home, tmp_path):
    out = tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(out), "-p", "fault", "node_hang"]
    subprocess.run(command, check=True, capture_output=True)
    assert read(out).model_dump()["fault"] == "node_hang"
    assert read(out).success
    assert left_running(lab_home) == []


@pytest.mark.slow
async def test_a_brain_that_does_nothing_is_no_success(lab_home):
    done = await run_notebook(NOTEBOOK, parse(Quickstart, {"brain": "noop"}), progress=False, report=False)
    assert done.ending is Ending.COMPLETED
    assert not done.success
    assert done.result.outcome == "claimed_unverified"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_a_signal_while_the_operator_works_leaves_nothing_running(lab_home, number):
    command = [sys.executable, "-m", "operatorlab", "run", str(NOTEBOOK), "--no-report"]
    pipe = asyncio.subprocess.PIPE
    launcher = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=os.environ)
    await session_begun(lab_home / "audit.db")
    processes = left_running(lab_home)
    assert processes
    launcher.send_signal(number)
    await launcher.communicate()
    if number is signal.SIGKILL:  # nobody is left to wait for: the notebook ends itself
        await asyncio.to_thread(psutil.wait_procs, processes, 20)
    else:
        assert launcher.returncode == 128 + number
        kept = json.loads(next((lab_home / "runs").glob("quickstart-*/result.json")).read_text())
        assert kept["ending"] == "interrupted"
    assert left_running(lab_home) == []


async def session_begun(audit):
    async with asyncio.timeout(90):
        while True:
            if audit.exists():
                with AuditStore(audit) as store:
                    if store.db["commands"].exists() and store.db["commands"].count:
                        return
            await asyncio.sleep(0.2)
