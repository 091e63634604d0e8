"""Every page for people who cannot see well, in both schemes, and how much it weighs."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page, Response, ViewportSize

from tests.journeys.conftest import DESK, PHONE, SignIn, picture

pytestmark = [pytest.mark.journey, pytest.mark.slow]

PLACES = {
    "worker1": [
        "/auth/",
        "/auth/profile",
        "/tracker/",
        "/tracker/done",
        "/tracker/tasks/new",
        "/billing/",
        "TASK",
        "MONEY OF A TASK",
    ],
    "manager": ["/tracker/all", "/tracker/distributions", "/tracker/load", "/tracker/imports", "/tracker/ui"],
    "accountant": ["/billing/today", "/billing/days", "/billing/accounts", "DAY", "ACCOUNT"],
    "admin": [
        "/analytics/",
        "/auth/accounts",
        "/auth/accounts/new",
        "PERSON",
        "/auth/applications",
        "/auth/clients",
        "/auth/clients/new",
        "/auth/clients/tracker",
        "/auth/keys",
        "/auth/sign-ins",
        "/auth/audit",
        "/auth/security",
        "/auth/security/applications",
        "/billing/dead-letters",
        "TRACE",
        "/tracker/nothing",
        "/registry/?search=jira",
        "/registry/catalogue/tracker/task_created/2",
        "/registry/catalogue/tracker/task_created/changes?from=1&to=2",
        "/registry/catalogue/topics/tracker.tasks",
        "/tracker/all?search=nothing+is+called+like+this",
    ],
}
LOOKS: tuple[tuple[str, ViewportSize, Literal["light", "dark"]], ...] = (
    ("light on a desk", {"width": DESK["width"], "height": DESK["height"]}, "light"),
    ("dark on a phone", {"width": PHONE["width"], "height": PHONE["height"]}, "dark"),
)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FAULTS = """
async (rules) => {
  const { violations } = await axe.run(document, { runOnly: rules, resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html.slice(0, 200))]);
}
"""
"""Faults alone: what is right about a page takes the browser longer to tell than to find."""


WIDTHS = (360, 700, 999, 1000, 1199, 1200, 1280)
"""Where the look of pages changes, and what lies between."""

MISPLACED = """
() => {
  const isWider = (box) => box.scrollWidth > box.clientWidth;
  const isCovered = (button) => {
    const { x, y, width, height } = button.getBoundingClientRect();
    return width && !button.contains(document.elementFromPoint(x + width / 2, y + height / 2));
  };
  scrollTo(0, document.body.scrollHeight);
  const wide = [document.scrollingElement, ...document.querySelectorAll(".table-frame")].filter(isWider);
  const covered = [...document.querySelectorAll(".bottom button")].filter(isCovered);
  return [...wide, ...covered].map((box) => box.innerText.slice(0, 60));
}
"""


async def addresses(page: Page, login: str) -> AsyncIterator[str]:
    for place in PLACES[login]:
        if place == "TASK":
            await page.goto("/tracker/done")
            yield str(await page.locator(".table .title a").first.get_attribute("href"))
        elif place == "MONEY OF A TASK":
            await page.goto("/billing/")
            task = await page.locator("#my-entries .title a").first.get_attribute("href")
            yield str(task).replace("/tracker/", "/billing/")
        elif place == "DAY":
            await page.goto("/billing/days")
            yield str(await page.locator("#days a").nth(1).get_attribute("href"))
        elif place == "ACCOUNT":
            await page.goto("/billing/accounts")
            yield str(await page.locator("#accounts a").nth(1).get_attribute("href"))
        elif place == "PERSON":
            await page.goto("/auth/accounts?search=worker1")
            yield str(await page.locator("#account-rows a").first.get_attribute("href"))
        elif place == "TRACE":
            await page.goto("/tracker/all?status=done")
            task = str(await page.locator("#task-rows .title a").first.get_attribute("href"))
            yield f"/tracker/trace?id={task.rpartition('/')[2]}"
        else:
            yield place


@pytest.mark.parametrize("login", list(PLACES))
async def test_axe_finds_nothing(signed_in: SignIn, login: str) -> None:
    """Every page in both schemes and on both sizes: light on a desk, dark on a phone."""
    found: dict[str, Any] = {}
    # Colours that are on their way from one look to the other are not what people read.
    async with signed_in(login, reduced_motion="reduce") as page:
        async for address in addresses(page, login):
            await page.goto(address)
            await page.wait_for_load_state("networkidle" if "live" not in address else "load")
            await page.evaluate(AXE_SCRIPT)
            for name, size, scheme in LOOKS:
                await page.set_viewport_size(size)
                await page.emulate_media(color_scheme=scheme)
                for rule, places in await page.evaluate(FAULTS, RULES):
                    found[f"{address}, {name}: {rule}"] = places
    assert found == {}


@pytest.mark.parametrize("login", list(PLACES))
async def test_everything_has_its_place_at_every_width(signed_in: SignIn, login: str) -> None:
    """From a phone to a desk, in the language of the longer words: no page or table is wider than its place,
    and what stands at the foot of a page is not covered by the tabs.
    """
    found: set[str] = set()
    async with signed_in(login, locale="ru-RU") as page:
        async for address in addresses(page, login):
            await page.goto(address)
            for width in WIDTHS:
                await page.set_viewport_size({"width": width, "height": DESK["height"]})
                found |= {f"{address} at {width}: {fault}" for fault in await page.evaluate(MISPLACED)}
    assert found == set()


async def test_scripts_and_styles_weigh_less_than_120_kilobytes(signed_in: SignIn) -> None:
    async with signed_in("worker1") as page:
        parts: dict[str, int] = {}

        def note(answer: Response) -> None:
            parts.setdefault(answer.url, 0)

        page.on("response", note)
        await page.goto("/tracker/")
        for url in [url for url in parts if re.search(r"/static/[^?]+\.(css|js)", url)]:
            body = await (await page.request.get(url)).body()
            parts[url] = len(gzip.compress(body))
        assert len([size for size in parts.values() if size]) >= 3
        assert sum(parts.values()) < 120_000


async def test_russian_pages_say_nothing_in_english(signed_in: SignIn) -> None:
    async with signed_in("worker1", locale="ru-RU", viewport=PHONE) as page:
        for address in ("/tracker/", "/tracker/tasks/new", "/billing/"):
            await page.goto(address)
            for part in await page.locator("h1, h2, nav a, button, label").all_inner_texts():
                words = re.findall(r"[A-Za-z]{3,}", part)
                assert set(words) <= {"English", "Jira"}, f"{address}: {part}"
        await picture(page, "russian")


def test_the_style_sheet_needs_no_other_host() -> None:
    """No font, picture or script of another host: nobody else learns who works here."""
    static = Path(__file__).parents[2] / "service_kit" / "static"
    for file in (static / "app.css", static / "app.js"):
        assert not re.search(r"https?://", file.read_text())
