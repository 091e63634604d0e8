"""An exchange with demo people and past days, and browsers that look at it."""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support import engines
from tests.support.exchange import Exchange

PICTURES = Path(os.environ.get("ATES_PICTURES", "test-results"))
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}

# Not a claim about speed: a crowded machine may take its time, and what never comes fails all the same.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="package")
def exchange(run_folder: Path) -> Iterator[Exchange]:
    """On engines that run elsewhere; those that it brings itself die in `tests/faults`."""
    # Whoever writes a journey wants it to try again and again on an exchange that is already up.
    if home := os.environ.get("ATES_JOURNEY_HOME"):
        yield Exchange(Path(home))
        return
    folder = run_folder / "journeys"
    folder.mkdir()
    running = Exchange(folder / "exchange")
    with engines.postgres(folder) as server, engines.kafka(folder) as broker:
        try:
            running.up("--database-url", server.dsn(), "--kafka", broker.address)
            yield running
        finally:
            running.ates("down", check=False)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            # The system's browser when there is one, else the one Playwright brought.
            executable_path=os.environ.get("ATES_CHROMIUM") or shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
        )
        yield started
        await started.close()


SignIn = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture
def signed_in(browser: Browser, exchange: Exchange) -> SignIn:
    """`async with signed_in("worker1") as page:` is that person on the start page, in English."""
    gateway = exchange.addresses["gateway"]

    @asynccontextmanager
    async def sign_in(login: str, **options: Any) -> AsyncIterator[Page]:
        options = {"viewport": DESK, "locale": "en-GB", "base_url": gateway, **options}
        context = await browser.new_context(**options)
        page = await context.new_page()
        failures: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        await page.goto("/auth/sign-in")
        # By the names of the fields: the page may speak any language.
        await page.locator("input[name=login]").fill(login)
        await page.locator("input[type=password]").fill(exchange.password)
        await page.locator("main form button[type=submit]").first.click()
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        yield page
        await context.close()
        assert failures == []

    return sign_in


async def shut_out(page: Page, path: str) -> bool:
    """Whether this place asks to sign in. A service hears within a moment that a session ended elsewhere."""
    await page.goto(path)
    return "/auth/sign-in" in page.url


async def picture(page: Page, name: str) -> None:
    """Keep what the person sees, to be looked at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / f"{name}.png")
