"""What several parts of the suite share: a real browser without a network."""

import shutil
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

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
