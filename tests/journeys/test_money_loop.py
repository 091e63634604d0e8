"""What a newcomer does: complete a task, see the money, distribute, close the day, see the result."""

import asyncio
import os
import re
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import expect

from tests.journeys.conftest import PHONE, SignIn, picture, shut_out
from tests.support.exchange import Exchange
from tests.support.running import eventually

MOSCOW = ZoneInfo("Europe/Moscow")

pytestmark = [pytest.mark.journey, pytest.mark.slow]


@pytest.mark.skipif("ATES_JOURNEY_HOME" in os.environ, reason="that exchange may have engines of its own")
async def test_it_all_runs_on_engines_that_run_elsewhere(exchange: Exchange) -> None:
    """Named to `up`, they take the place of its own, which do not run beside them."""
    assert await exchange.all_ready()
    assert not {"postgres", "kafka"} & {entry["name"] for entry in exchange.status["processes"]}


async def test_a_worker_completes_a_task_and_sees_the_reward(signed_in: SignIn) -> None:
    async with signed_in("worker1") as page:
        await page.goto("/tracker/")
        await expect(page.get_by_role("heading", name="My tasks")).to_be_visible()
        await picture(page, "worker")
        first = page.locator("#open-rows tr").first
        title = await first.locator(".title a").inner_text()
        await first.get_by_role("button", name="Complete").click()
        await expect(page.locator("#done")).to_contain_text(title)
        await page.goto("/billing/")
        reward = page.locator("tr", has_text=title).filter(has_text="Reward")
        await expect(reward.first).to_be_visible()
        await picture(page, "money")


async def test_a_worker_on_a_phone_without_javascript_can_do_the_same(signed_in: SignIn) -> None:
    async with signed_in("worker2", viewport=PHONE, java_script_enabled=False) as page:
        await page.goto("/tracker/")
        first = page.locator("#open-rows tr").first
        title = await first.locator(".title a").inner_text()
        await first.get_by_role("button", name="Complete").click()
        await expect(page.locator("#done")).to_contain_text(title)
        await picture(page, "worker-phone")


@pytest.mark.parametrize(
    ("login", "path"),
    [
        ("worker1", "/auth/"),
        ("worker1", "/tracker/"),
        ("worker1", "/tracker/tasks/new"),
        ("worker1", "/billing/"),
        ("manager", "/tracker/all"),
        ("accountant", "/billing/today"),
        ("accountant", "/billing/days"),
        ("accountant", "/billing/accounts"),
        ("admin", "/analytics/"),
        ("admin", "/auth/accounts"),
        ("admin", "/registry/"),
    ],
)
async def test_no_page_is_wider_than_a_phone(signed_in: SignIn, login: str, path: str) -> None:
    async with signed_in(login, viewport=PHONE) as page:
        answer = await page.goto(path)
        assert answer is not None
        assert answer.ok
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        await picture(page, f"phone-{login}-{re.sub('[^a-z]+', '-', path).strip('-')}")


async def test_a_manager_creates_a_task_and_distributes_what_is_open(signed_in: SignIn) -> None:
    async with signed_in("manager") as page:
        await page.goto("/tracker/tasks/new")
        await page.get_by_label("What is to be done?").fill("Feed the journey's parrot")
        await page.get_by_role("button", name="Create task").click()
        await expect(page.locator("main")).to_contain_text("Feed the journey's parrot")
        await picture(page, "created")
        await page.goto("/tracker/all")
        await page.get_by_role("button", name="Distribute").click()
        await page.get_by_role("dialog").get_by_role("button", name="Distribute").click()
        await expect(page.locator("#distribution")).to_contain_text(re.compile(r"Done: \d+ tasks? ha"))
        await picture(page, "distributed")


async def test_a_worker_may_not_distribute_and_nobody_else_sees_the_accounts(signed_in: SignIn) -> None:
    async with signed_in("worker1") as page:
        await page.goto("/tracker/all")
        await expect(page.get_by_role("button", name="Distribute")).to_have_count(0)
        for path in ("/billing/today", "/analytics/", "/auth/accounts"):
            answer = await page.goto(path)
            assert answer is not None
            assert answer.status == 403


async def test_the_night_pays_writes_letters_and_analytics_shows_the_day(
    signed_in: SignIn, exchange: Exchange
) -> None:
    letters = exchange.home / "letters"
    before = len(list(letters.rglob("*.eml")))
    day = datetime.fromisoformat(exchange.status["business_time"]).astimezone(MOSCOW).date()
    today = day.isoformat()
    result = await asyncio.to_thread(exchange.ates, "night")
    assert today in result
    # Whether anybody ends the day above zero is drawn by lot; the demo's past days had some who did.
    (paid,) = await exchange.rows("billing", "select count(*) from payouts where business_date = $1", day)
    assert len(list(letters.rglob("*.eml"))) == before + paid[0] > 0
    async with signed_in("accountant") as page:
        await page.goto(f"/billing/days/{today}")
        await expect(page.get_by_text("Closed").first).to_be_visible()
        await picture(page, "day")
    async with signed_in("admin") as page:
        await page.goto("/analytics/")
        await expect(page.locator("main")).to_contain_text("Dearest")
        await picture(page, "analytics")


async def test_signing_out_ends_the_session_in_every_service(signed_in: SignIn) -> None:
    async with signed_in("worker3") as page:
        await page.goto("/billing/")
        await page.goto("/tracker/")
        await page.get_by_role("button", name="Sign out").click()
        for path in ("/tracker/", "/billing/"):
            await eventually(partial(shut_out, page, path))


async def test_no_token_ever_reaches_the_browser(signed_in: SignIn) -> None:
    async with signed_in("worker1") as page:
        seen: list[str] = []
        page.on("request", lambda request: seen.append(request.url))
        await page.goto("/tracker/")
        await page.goto("/billing/")
        cookies = await page.context.cookies()
        kept = [cookie["value"] for cookie in cookies] + seen
        kept.append(await page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})"))
        kept.append(await page.content())
        assert all(
            cookie["httpOnly"] for cookie in cookies if cookie["name"].startswith(("ates-", "__Host-"))
        )
        assert not [text for text in kept if re.search(r"eyJ[\w-]{10,}\.eyJ", text)]
