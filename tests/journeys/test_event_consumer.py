"""Somebody of another team: finds an event, compares versions, copies code, reads the topic, watches it."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.async_api import Browser, expect

from tests.journeys.conftest import DESK, SignIn, picture
from tests.support.exchange import Exchange, Person

pytestmark = [pytest.mark.journey, pytest.mark.slow]

READ_WITHIN_S = 60


async def copied_code(browser: Browser, exchange: Exchange) -> str:
    """From the list of events to a program in the clipboard, by a person who is not signed in."""
    gateway = exchange.addresses["gateway"]
    options: dict[str, Any] = {"viewport": DESK, "locale": "en-GB", "base_url": gateway}
    context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"], **options)
    page = await context.new_page()
    await page.goto("/registry/")
    await page.get_by_label("Search events and fields").fill("jiraId")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("link", name="TaskCreated").click()
    await expect(page.locator("#field-jiraId")).to_be_visible()
    await page.get_by_role("link", name="What changed since v1").click()
    await expect(page.get_by_role("heading", name="May readers of v1 read v2?")).to_be_visible()
    await expect(page.locator("section", has_text="Fields").get_by_text("added")).to_be_visible()
    await picture(page, "consumer-changes")
    await page.get_by_role("link", name="TaskCreated v2").click()
    code = page.locator("details", has=page.get_by_text("Python", exact=True))
    await code.get_by_role("button", name="Copy").click()
    await expect(code.get_by_role("button", name="Copied")).to_be_visible()
    program: str = await page.evaluate("navigator.clipboard.readText()")
    await context.close()
    return program


def first_lines(program: Path) -> str:
    """What the program has said when it has said something: it would read on for ever."""
    running = subprocess.Popen(
        [sys.executable, "-u", str(program)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert running.stdout is not None
    try:
        return running.stdout.readline()
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


async def test_from_the_search_to_the_first_record(
    browser: Browser, exchange: Exchange, signed_in: SignIn, tmp_path: Path
) -> None:
    """The program runs as it was copied; a topic shows by itself what was said after the page was opened."""
    title = f"Count the perches {time.time_ns()}"
    program = tmp_path / "reader.py"
    program.write_text(await copied_code(browser, exchange))
    async with httpx2.AsyncClient(timeout=30) as client, signed_in("admin") as page:
        manager = Person(exchange, "manager", client)
        await page.goto("/registry/catalogue/topics/tracker.tasks?event=TaskCreated")
        await expect(page.get_by_text("New records appear by themselves.")).to_be_visible()
        answer = await manager.post("/tracker/api/v1/tasks", json={"title": title})
        assert answer.is_success, answer.text
        found = page.locator(".record", has_text="TaskCreated v2").filter(has_text=title)
        await expect(found).to_have_count(1)
        await found.locator("summary").click()
        await expect(found.get_by_text(title)).to_be_visible()
        await picture(page, "consumer-topic")
    said = await asyncio.wait_for(asyncio.to_thread(first_lines, program), READ_WITHIN_S)
    assert "'jiraId'" in said, said
