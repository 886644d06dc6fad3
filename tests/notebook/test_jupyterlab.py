"""The quickstart in a real JupyterLab: Run All twice, ■ in the middle, and nothing left when the server ends."""

import importlib.util
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "screenshot.py"
NOTHING_QUEUED = "![...document.querySelectorAll('.jp-InputPrompt')].some(p => p.innerText.includes('*'))"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("/usr/bin/chromium") is None, reason="no /usr/bin/chromium"),
]


@pytest.fixture(scope="module")
def screenshot():
    """The script's own way of driving JupyterLab."""
    spec = importlib.util.spec_from_file_location("screenshot", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def left_running(folder):
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("OPERATORLAB_HOME", "").startswith(str(folder)) or str(folder) in process.cwd():
                found.append(process.cmdline())
        except (psutil.Error, OSError):
            continue
    return found


def errors_in(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    return [out["ename"] for cell in cells for out in cell.get("outputs", []) if out["output_type"] == "error"]


def test_run_all_twice_and_interrupt(screenshot, tmp_path):
    notebook = Path(shutil.copy(screenshot.NOTEBOOK, tmp_path))
    with screenshot.jupyter_lab(tmp_path) as address, screenshot.chromium("/usr/bin/chromium") as browser:
        page = screenshot.open_notebook(browser, address, notebook.name)
        screenshot.run_all(page)
        page.locator(".jupyter-widgets .olab, .lm-Widget .olab").first.wait_for(state="attached", timeout=60_000)
        first = screenshot.wait_for_end(page, notebook)
        assert first["success"]

        screenshot.run_all(page)
        result = page.get_by_role("region", name="result", exact=True)
        result.wait_for(state="detached", timeout=60_000)
        page.locator("li.command").nth(2).wait_for(state="attached", timeout=120_000)
        page.get_by_role("menuitem", name="Kernel", exact=True).click()
        page.get_by_role("menuitem", name="Interrupt Kernel").click()
        page.get_by_role("alert").filter(has_text="interrupted").first.wait_for(state="attached", timeout=30_000)
        page.wait_for_function(NOTHING_QUEUED)

        screenshot.run_all(page)
        result.wait_for(state="attached", timeout=120_000)
        again = screenshot.wait_for_end(page, notebook)
        assert again["success"]
        assert again["ticket"] != first["ticket"]
        assert errors_in(notebook) == []
    assert left_running(tmp_path) == []


def test_the_picture_can_be_taken(tmp_path):
    picture = tmp_path / "picture.png"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--output", str(picture)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    assert width == 1400
    assert height > 800
