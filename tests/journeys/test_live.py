"""Pages that follow along: what comes, what goes, what was missed while the server was away."""

import asyncio
import re
import time
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.journeys.conftest import PHONE, SignIn, picture
from tests.support.exchange import Exchange
from tests.support.running import eventually

pytestmark = [pytest.mark.journey, pytest.mark.slow]

MANY = 480
"""So many that each of six gets more than one page of them."""

OPEN = "#open-rows tr[id]:not([data-done])"

KEEP_WHAT_IS_SAID = """
addEventListener("DOMContentLoaded", () => {
  window.said = [];
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) window.said.push(node.textContent);
  }).observe(document.getElementById("toasts"), { childList: true });
});
"""
"""A toast goes away by itself, perhaps before a busy machine has looked at all the pages."""


async def create(page: Page, title: str) -> str:
    """Create a task the way a browser does; answers who got it."""
    await page.goto("/tracker/tasks/new")
    await page.get_by_label("What is to be done?").fill(title)
    await page.get_by_role("button", name="Create task").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(title)
    guid = await page.locator(".notice-good [data-person]").get_attribute("data-person")
    assert guid is not None
    return guid


async def owner(pages: list[Page], title: str) -> Page | None:
    for page in pages:
        if await page.locator(OPEN, has_text=title).count():
            return page
    return None


async def test_an_assignment_comes_and_goes_by_itself_and_is_said(signed_in: SignIn) -> None:
    title = f"Look after the swing {time.time_ns()}"
    async with (
        signed_in("manager") as manager,
        signed_in("worker1", viewport=PHONE) as one,
        signed_in("worker2") as two,
        signed_in("worker3") as three,
        signed_in("worker4") as four,
        signed_in("worker5") as five,
        signed_in("accountant") as six,
    ):
        pages = [one, two, three, four, five, six]
        for page in pages:
            await page.add_init_script(KEEP_WHAT_IS_SAID)
            await page.goto("/tracker/")
            await expect(page.get_by_role("heading", name="To do")).to_be_visible()
        await create(manager, title)
        got = await eventually(lambda: owner(pages, title))
        await got.wait_for_function("(title) => said.some((text) => text.includes(title))", arg=title)
        await picture(got, "live")

        async def moved() -> bool:
            await manager.goto("/tracker/distributions")
            await manager.get_by_role("button", name="Distribute").click()
            await manager.get_by_role("dialog").get_by_role("button", name="Distribute").click()
            await expect(manager.locator("#distribution")).to_contain_text(re.compile(r"Done: \d+ tasks? ha"))
            # Whoever it is drawn for, everybody's page comes to the same end.
            await expect(manager.locator("#distribution .table")).to_be_visible()
            holder = await eventually(lambda: owner(pages, title))
            return holder is not got

        # One in six draws gives it to the same person again.
        await eventually(moved, within_s=180)
        await expect(got.locator(OPEN, has_text=title)).to_have_count(0)


async def open_ids(page: Page) -> list[str]:
    ids: list[str] = await page.locator(OPEN).evaluate_all("(rows) => rows.map((row) => row.id)")
    return ids


async def all_open(page: Page) -> list[str]:
    """The ids of all open tasks, in order, from part to part, by keyboard."""
    more = page.locator("#open-rows .pager a")
    while await more.count():
        shown = await page.locator(OPEN).count()
        await more.press("Enter")
        await expect(page.locator(OPEN).nth(shown)).to_be_visible()
        await expect(page.locator(OPEN).nth(shown).locator(":focus")).to_be_visible()
    return await open_ids(page)


async def test_a_list_that_outgrows_its_page_is_said_once_and_goes_on_below(
    signed_in: SignIn, tmp_path: Path
) -> None:
    file = tmp_path / "many.csv"
    file.write_text("title\n" + "".join(f"Sort seed {number}\n" for number in range(MANY)))
    async with signed_in("manager") as manager, signed_in("worker3", viewport=PHONE) as page:
        await page.add_init_script(KEEP_WHAT_IS_SAID)
        await page.goto("/tracker/")
        await expect(page.locator(OPEN).first).to_be_visible()
        await manager.goto("/tracker/imports")
        await manager.locator("input[type=file]").set_input_files(file)
        await manager.get_by_role("button", name="Import the file").click()
        await expect(manager.locator("main")).to_contain_text(f"Done: {MANY} tasks")
        # Their prices come in many facts, and each has the page ask again.
        await expect(page.locator("#open-rows")).to_contain_text("Sort seed")
        await expect(page.locator(OPEN, has_text="…")).to_have_count(0)
        said = [text for text in await page.evaluate("said") if re.match(r"New for you: \d", text)]
        assert len(said) == 1, said
        assert "+" in said[0]

        # All of them are dealt out anew: what "Show more" leads to is what lies below now.
        await manager.goto("/tracker/distributions")
        await manager.get_by_role("button", name="Distribute").click()
        await manager.get_by_role("dialog").get_by_role("button", name="Distribute").click()
        await expect(manager.locator("#distribution")).to_contain_text("Done:")
        await page.wait_for_function("said.filter((text) => /New for you: [0-9]/.test(text)).length > 1")
        anew = await page.context.new_page()
        await anew.goto("/tracker/")

        async def caught_up() -> bool:
            here, there = await open_ids(page), await open_ids(anew)
            return all(one == other for one, other in zip(here, there, strict=False))

        await eventually(caught_up)
        assert await all_open(page) == await all_open(anew)


async def test_two_tabs_complete_one_task_and_both_show_the_truth(signed_in: SignIn) -> None:
    async with signed_in("worker1") as page:
        await page.goto("/tracker/")
        other = await page.context.new_page()
        await other.goto("/tracker/")
        row = page.locator(OPEN).first
        row_id = await row.get_attribute("id")
        await row.get_by_role("button").click()
        await expect(page.locator(f"#{row_id}[data-done]")).to_be_visible()
        await expect(other.locator(f"#{row_id}")).to_have_count(0)
        title = await page.locator(f"#{row_id} .title a").inner_text()
        await expect(other.locator("#done")).to_contain_text(title)


async def test_what_happened_while_the_server_was_away_is_there_when_it_is_back(
    signed_in: SignIn, exchange: Exchange
) -> None:
    title = f"Mend the ladder {time.time_ns()}"
    async with signed_in("manager") as page, signed_in("manager") as writer:
        await page.goto("/tracker/all")
        await expect(page.locator("#task-rows tr").first).to_be_visible()
        await asyncio.to_thread(exchange.kill, "tracker-web")
        await eventually(exchange.all_ready, within_s=60, every_s=0.3)
        await create(writer, title)
        await expect(page.locator("#task-rows")).to_contain_text(title)
        await expect(page.locator("#connection")).to_be_empty()


async def test_a_page_without_connection_says_so_and_catches_up(signed_in: SignIn) -> None:
    title = f"Hang the mirror {time.time_ns()}"
    async with signed_in("manager") as page, signed_in("manager") as writer:
        await page.goto("/tracker/all")
        await expect(page.locator("#task-rows tr").first).to_be_visible()
        # The news comes over a stream that is still open, and what it names cannot be fetched.
        await page.context.route("**/tracker/all*", lambda route: route.abort())
        first = f"Hang the picture {time.time_ns()}"
        await create(writer, first)
        await expect(page.locator("#connection")).to_contain_text("No connection")
        await page.context.unroute("**/tracker/all*")
        await expect(page.locator("#task-rows")).to_contain_text(first)
        await expect(page.locator("#connection")).to_be_empty()
        # Then there is no connection at all.
        await page.context.set_offline(True)
        await expect(page.locator("#connection")).to_contain_text("No connection")
        await create(writer, title)
        await page.context.set_offline(False)
        await expect(page.locator("#task-rows")).to_contain_text(title)
        await expect(page.locator("#connection")).to_be_empty()


async def test_a_page_whose_session_ended_elsewhere_says_so_and_leads_back(signed_in: SignIn) -> None:
    async with signed_in("worker4") as page, signed_in("worker4") as elsewhere:
        await page.goto("/tracker/done")
        await page.goto("/tracker/")
        await elsewhere.goto("/auth/security")
        await elsewhere.get_by_role("button", name="Sign out everywhere", exact=True).click()
        await elsewhere.get_by_role("dialog").get_by_role("button").last.click()
        await expect(page.locator("#connection")).to_contain_text("Your session has ended.")
        await expect(page.locator(".who")).to_be_visible()
        await page.locator("#connection").get_by_role("link", name="Sign in again").click()
        await expect(page.locator("input[name=login]")).to_be_visible()


async def test_the_keyboard_alone_is_enough(signed_in: SignIn) -> None:
    title = f"[KEY-7] - Count the feathers {time.time_ns()}"
    async with signed_in("manager") as page:
        await page.goto("/tracker/all")
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("c")
        await expect(page.get_by_label("What is to be done?")).to_be_focused()
        await page.keyboard.type(title)
        await expect(page.locator("#hint")).to_contain_text("KEY-7")
        await page.keyboard.press("Enter")
        while await page.get_by_role("button", name="Create all the same").count():
            # An earlier run of this journey has left its task open: say so, and go on.
            await page.get_by_role("button", name="Create all the same").press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Count the feathers")
        await page.goto("/tracker/all")
        await page.keyboard.press("/")
        await page.keyboard.type("feather")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**search=feather**")
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("k")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="History")).to_be_visible()
