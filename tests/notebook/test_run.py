"""The launcher: verdicts, failures and interruptions, on tiny real notebooks with real kernels."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from operatorlab.deploy.kin import is_alive
from operatorlab.notebook.parameters import model_of, parse
from operatorlab.notebook.run import MARK, Ending, run_notebook

RECORD = 'from operatorlab.notebook import record\nrecord(success=True, outcome="fine", seen=n)'
WAIT = """
import asyncio, pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("up").write_text(str(child.pid))
try:
    while True:
        await asyncio.sleep(0.1)
finally:
    pathlib.Path("cleaned").touch()
"""


def marked(run):
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == run:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def lives(pid):
    return psutil.pid_exists(pid) and is_alive(psutil.Process(pid))


async def run(notebook, given=None, **options):
    return await run_notebook(notebook, parse(model_of(notebook), given or {}), progress=False, **options)


async def test_a_recorded_success_is_a_success(write_notebook, lab_home):
    notebook = write_notebook("# Small", "n", RECORD, parameters="n = 1")
    done = await run(notebook, {"n": "7"})
    assert done.success
    assert done.ending is Ending.COMPLETED
    assert done.result.model_dump() == {"success": True, "outcome": "fine", "seen": 7}
    assert done.notebook.parent == lab_home / "runs" / done.run
    assert done.report.exists()
    kept = json.loads((done.notebook.parent / "result.json").read_text())
    assert kept["parameters"] == {"n": 7}
    assert kept["result"]["seen"] == 7
    assert marked(done.run) == []


async def test_a_recorded_failure_is_no_success(write_notebook, lab_home):
    done = await run(
        write_notebook('from operatorlab.notebook import record\nrecord(success=False, outcome="bad")'), report=False
    )
    assert done.ending is Ending.COMPLETED
    assert not done.success


async def test_without_a_result_a_run_has_failed(write_notebook, lab_home):
    done = await run(write_notebook(RECORD, "1 + 1", parameters="n = 1"), report=False)
    assert done.ending is Ending.NO_RESULT
    assert not done.success
    assert done.result is None


async def test_a_failing_cell_is_named_and_still_reported(write_notebook, lab_home):
    done = await run(write_notebook("# The hard part", "1 / 0", RECORD, parameters="n = 1"))
    assert done.ending is Ending.CELL_FAILED
    assert "The hard part" in done.error
    assert "ZeroDivisionError" in done.error
    assert "ZeroDivisionError" in done.report.read_text()
    assert marked(done.run) == []


async def test_a_time_limit_ends_it_and_leaves_nothing(write_notebook, lab_home):
    done = await run(write_notebook(WAIT), timeout_s=3, report=False)
    assert done.ending is Ending.TIMED_OUT
    assert not done.success
    assert marked(done.run) == []


async def test_a_cell_that_ignores_interrupts_is_killed(write_notebook, lab_home):
    stubborn = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(600)"
    done = await run(write_notebook(stubborn), timeout_s=4, grace_s=1, report=False)
    assert done.ending is Ending.TIMED_OUT
    assert marked(done.run) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_signal_in_the_middle_leaves_no_process(write_notebook, lab_home, tmp_path, number, code):
    notebook = write_notebook(WAIT)
    process = await launch(notebook, "--no-report")
    child = int(await appeared(tmp_path / "up"))
    process.send_signal(number)
    out, _ = await process.communicate()
    assert process.returncode == code
    assert b"interrupted" in out
    assert (tmp_path / "cleaned").exists()
    assert not lives(child)
    assert marked(next((lab_home / "runs").iterdir()).name) == []


@pytest.mark.parametrize("before", [(), ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")], ids=["usual", "in a script"])
async def test_a_killed_launcher_takes_the_notebook_with_it(write_notebook, lab_home, tmp_path, before):
    process = await launch(write_notebook(WAIT), "--no-report", before=before)
    await appeared(tmp_path / "up")
    run = next((lab_home / "runs").iterdir()).name
    kernels = [psutil.Process(pid) for pid in marked(run) if "ipykernel" in " ".join(psutil.Process(pid).cmdline())]
    assert len(kernels) == 1
    process.kill()
    gone, _ = await asyncio.to_thread(psutil.wait_procs, kernels, 20)
    for pid in marked(run):  # the child process of the cell: nobody is left to end it but its own parent
        psutil.Process(pid).kill()
    await process.communicate()  # until nobody holds its pipes any more
    assert gone == kernels


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-p", "cuont", "1"], 2, "did you mean 'count'"),
        (["-p", "count", "many"], 2, "count = 'many'"),
        (["--parameters"], 0, "count: int = 1"),
    ],
)
def test_the_command_line_checks_before_it_starts(write_notebook, lab_home, arguments, code, said):
    notebook = write_notebook("1", parameters="count = 1")
    command = [sys.executable, "-m", "operatorlab", "run", str(notebook), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert not (lab_home / "runs").exists()


def test_the_command_line_says_where_everything_is(write_notebook, lab_home, tmp_path):
    notebook = write_notebook("# Small", RECORD, parameters="n = 1")
    command = [sys.executable, "-m", "operatorlab", "run", str(notebook), "--output", str(tmp_path / "out put")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for said in ("fine (success)", f"jupyter lab '{tmp_path}/out put/notebook.ipynb'", "report.html'", "audit.db"):
        assert said in done.stdout
    assert "cell 1/" in done.stderr


async def launch(notebook, *options, before=()):
    command = [*before, sys.executable, "-m", "operatorlab", "run", str(notebook), *options]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=os.environ)


async def appeared(path, timeout_s=30):
    """The text of `path`, as soon as there is some."""
    async with asyncio.timeout(timeout_s):
        while not (path.exists() and path.read_text()):  # noqa: ASYNC110  files announce nothing
            await asyncio.sleep(0.05)
    return path.read_text()


def test_the_package_exports_functions_not_modules():
    from operatorlab import notebook
    from operatorlab.notebook import chart, result

    assert (notebook.record, notebook.timeline, notebook.theme) == (result.record, chart.timeline, chart.theme)
