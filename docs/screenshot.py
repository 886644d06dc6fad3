"""Take `docs/quickstart.png`: the quickstart notebook, run in a real JupyterLab, seen by headless Chromium.

    python docs/screenshot.py [--output docs/quickstart.png] [--browser /usr/bin/chromium]

Starts JupyterLab on a free loopback port in a temporary folder, opens the notebook, chooses *Run All*, takes
the picture while the operator is at work, and waits for the notebook's end: a picture of a run that failed is
not kept. Needs the development dependencies and a Chromium. Ends everything that it started.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import psutil

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "00_quickstart.ipynb"
RESULT = "application/vnd.operatorlab.result+json"
_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage")  # fmt: skip
_NO_NEWS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}


@contextmanager
def jupyter_lab(folder: Path) -> Iterator[str]:
    """A JupyterLab that serves `folder` on loopback, with settings and lab home of its own; gives its address."""
    overrides = folder / ".config" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text(json.dumps(_NO_NEWS))
    own = {f"JUPYTER_{kind.upper()}_DIR": str(folder / f".{kind}") for kind in ("config", "data", "runtime")}
    environment = {**os.environ, **own, "OPERATORLAB_HOME": str(folder / ".lab"), "JUPYTER_PREFER_ENV_PATH": "1"}
    port = _free_port()
    # No token: the server listens on loopback only, for as long as this takes.
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--allow-root",
               "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]  # fmt: skip
    with (folder / ".jupyter.log").open("wb") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        _end(server)


def open_notebook(browser: Browser, address: str, name: str) -> Page:
    """Open `name` with a kernel that is ready."""
    page = browser.new_page(viewport={"width": 1400, "height": 1060})
    page.goto(f"{address}/doc/tree/{name}")
    page.get_by_text("(ipykernel) | Idle").wait_for(timeout=120_000)
    return page


def run_all(page: Page) -> None:
    """Choose *Run ▸ Run All Cells*."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def saved_result(notebook: Path) -> dict[str, object] | None:
    """What the last cell of the saved notebook recorded; None also while it is being written."""
    try:
        cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    except json.JSONDecodeError:
        return None
    found = [out["data"][RESULT] for out in cells[-1]["outputs"] if RESULT in out.get("data", {})]
    return found[-1] if found else None


def wait_for_end(page: Page, notebook: Path, timeout_s: float = 300) -> dict[str, object]:
    """Wait until the last cell has shown the result (the kernel's status flickers), save, and return it."""
    page.get_by_role("region", name="result", exact=True).wait_for(timeout=timeout_s * 1000, state="attached")
    before = notebook.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if notebook.stat().st_mtime_ns != before and (result := saved_result(notebook)) is not None:
            return result
        time.sleep(0.2)
    raise click.ClickException("the notebook ended without a result")


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(_QUIET))
        yield browser
        browser.close()


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path(__file__).parent / "quickstart.png")
@click.option("--browser", "browser_path", default="/usr/bin/chromium", show_default=True)
def main(output: Path, browser_path: str) -> None:
    """Take the picture."""
    with tempfile.TemporaryDirectory(prefix="operatorlab-screenshot-") as name:
        folder = Path(name)
        notebook = Path(shutil.copy(NOTEBOOK, folder))
        with jupyter_lab(folder) as address, chromium(browser_path) as browser:
            page = open_notebook(browser, address, notebook.name)
            run_all(page)
            picture = _picture(page)
            result = wait_for_end(page, notebook)
    if not result["success"]:
        raise click.ClickException(f"the run was no success: {result}")
    output.write_bytes(picture)
    click.echo(f"{output}: {len(picture) // 1024} KiB, {result['outcome']}")


def _picture(page: Page) -> bytes:
    """The window while the operator works, scrolled to its panels, some commands having been run."""
    page.locator("li.command").nth(5).wait_for(timeout=180_000, state="attached")
    page.get_by_role("heading", name="Let an operator work").evaluate("e => e.scrollIntoView({block: 'start'})")
    page.locator("li.command").nth(6).wait_for(timeout=60_000)
    return page.screenshot()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(url: str, server: subprocess.Popen[bytes], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  our own loopback server
                return
        except OSError:
            time.sleep(0.1)
    raise click.ClickException(f"JupyterLab did not come up: exit code {server.poll()}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, so that it shuts its kernels down and they their labs; then make sure."""
    below = psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    _, alive = psutil.wait_procs(below, timeout=10)
    for process in alive:
        process.kill()


if __name__ == "__main__":
    main()
