"""What the whole suite shares: a real browser without a network, and the proof that nothing is left running."""

import os
import shutil
from contextlib import asynccontextmanager

import psutil
import pytest
import pytest_asyncio

from operatorlab.deploy.compose.bringing import require_images
from operatorlab.deploy.compose.command import compose_command
from operatorlab.deploy.compose.engine import Engine, find_daemon
from operatorlab.deploy.compose.stack import read_stack
from operatorlab.errors import EnvironmentTrouble
from subjects.ratelimiter.subject import RateLimiter

CHROMIUM = "/usr/bin/chromium"
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage")  # fmt: skip


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    """Headless Chromium. Its tests run in the session's loop: `pytest.mark.asyncio(loop_scope="session")`."""
    playwright = pytest.importorskip("playwright.async_api")
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"no {CHROMIUM}")
    async with playwright.async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        await chromium.close()


@pytest.fixture(scope="session")
def open_page(browser):
    """Opens HTML in a page that has no network."""

    @asynccontextmanager
    async def opened(html, **options):
        page = await browser.new_page(offline=True, **options)
        await page.set_content(html)
        yield page
        await page.close()

    return opened


@pytest.fixture(scope="session")
def containers():
    """Skips where labs of containers cannot run, and says why. `OPERATORLAB_REQUIRE_DOCKER=1` makes that a failure."""
    try:
        compose_command()
        stack = read_stack(RateLimiter())
        Engine(find_daemon()).now(lambda client: require_images(client, stack))
    except EnvironmentTrouble as trouble:
        if os.environ.get("OPERATORLAB_REQUIRE_DOCKER"):
            raise
        pytest.skip(f"no labs of containers here: {trouble.what}")


LEFT = pytest.StashKey()


def _of_labs_below(folder):
    """Processes of labs whose system lies below `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("OPERATORLAB_SYSTEM", "").startswith(f"{folder}/"):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except psutil.Error:
            continue
    return found


def pytest_sessionfinish(session):
    """A suite that leaves a process behind has failed, whatever its tests say."""
    if hasattr(session.config, "workerinput"):
        return
    left = _of_labs_below(session.config._tmp_path_factory.getbasetemp())
    session.config.stash[LEFT] = left
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    left = config.stash.get(LEFT, [])
    terminalreporter.line(
        "\n".join(["processes left behind:", *left]) if left else "no process of a lab is left behind"
    )
