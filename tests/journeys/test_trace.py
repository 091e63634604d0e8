"""An administrator follows a task's events through all services on one page."""

from typing import Any

import pytest
from playwright.async_api import expect

from tests.journeys.conftest import PHONE, SignIn, picture
from tests.support.exchange import Exchange

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


async def test_the_command_tells_the_same_way_from_whatever_is_known_of_it(exchange: Exchange) -> None:
    """A task, one of its events, the request that said it, or the ledger entry that follows."""
    (entry,) = await exchange.rows("billing", "select * from journal_entries where kind = 'reward' limit 1")
    (said,) = await exchange.rows("tracker", "select * from outbox where event_id = $1", entry["event_id"])
    wanted: dict[str, Any] = {
        "task": entry["task_id"],
        "event": entry["event_id"],
        "request": said["correlation_id"],
        "entry": entry["id"],
    }
    for known, of in wanted.items():
        told = exchange.ates("trace", str(of))
        for hop in ("says TaskCompleted", "has TaskCompleted", "has acted on TaskCompleted", "reward +"):
            assert hop in told, f"{hop} by {known}:\n{told}"
        assert f"traceparent={said['traceparent']}" in told
        assert said["data"].decode() in told


async def test_the_command_tells_the_way_of_a_payout(exchange: Exchange) -> None:
    """By the entry of the ledger, which no fact caused."""
    (payout,) = await exchange.rows("billing", "select * from payouts limit 1")
    told = exchange.ates("trace", str(payout["id"]))
    assert "payout -" in told
    for name in ("EntryPosted", "PayoutMade"):
        assert told.count(f"says {name}") == 1
    assert f'"payoutId":"{payout["id"]}"' in told
