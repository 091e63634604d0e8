"""An administrator follows a task's events through all services on one page."""

import pytest
from playwright.async_api import expect

from tests.journeys.conftest import PHONE, SignIn, picture

pytestmark = [pytest.mark.journey, pytest.mark.slow]


async def test_one_page_joins_what_all_services_saw_of_a_task(signed_in: SignIn) -> None:
    async with signed_in("admin", viewport=PHONE) as page:
        await page.goto("/tracker/all")
        await page.locator(".title a").first.click()
        await page.get_by_role("link", name="Their way through the services").click()
        # Billing and analytics were never opened by this browser: it is signed in to them on the way.
        way = page.locator("#way")
        for seen in ("Tracker says it", "Billing has booked it", "Analytics has acted on it"):
            await expect(way).to_contain_text(seen)
        times = [
            float(str(at))
            for at in await way.locator("li").evaluate_all("all => all.map(li => li.dataset.at)")
        ]
        assert times == sorted(times)
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        await picture(page, "trace")
