import csv
import io

import httpx2
import pytest

from service_kit.identity import CurrentUser, Role
from tests.analytics.facts import MONDAY, created, day_result, fee, guid, hear, payout, reward
from tests.support.services import Service
from tests.support.web import Web

ADMIN = CurrentUser(guid(1), Role.ADMIN, name="Ann")


@pytest.fixture
def browser(web: Web) -> httpx2.AsyncClient:
    return web.browser(ADMIN, **{"Accept-Language": "en"})


class TestDashboard:
    async def test_shows_today_chart_and_dearest_tasks(
        self, analytics: Service, browser: httpx2.AsyncClient
    ) -> None:
        """N2 and N3 on one page: income, accounts below zero, the dearest of day, week, month, range."""
        await hear(
            analytics,
            created(10, 7, "Feed <b>the bird</b>", "AT-1"),
            fee(11, 1_500, task=7),
            reward(12, 3_800, task=7),
            fee(13, 2_000, user=2, task=8),
        )
        page = (await browser.get("/")).text
        assert "Feed &lt;b&gt;the bird&lt;/b&gt;" in page
        assert "$38.00" in page
        assert "\N{MINUS SIGN}$3.00" in page
        assert "of 2 accounts; debts $20.00" in page
        assert "Week 2 \N{EN DASH} 8 Mar" in page
        assert "March 2026" in page
        assert page.count("<rect") >= 14

    async def test_says_so_when_there_is_nothing(self, browser: httpx2.AsyncClient) -> None:
        page = (await browser.get("/")).text
        assert "Nothing happened in this period" in page
        assert "No event has been heard yet." in page

    async def test_speaks_russian(self, web: Web, analytics: Service) -> None:
        """No text of the page is left in English."""
        await hear(analytics, fee(11, 1_500), day_result(12, MONDAY))
        page = (await web.browser(ADMIN, **{"Accept-Language": "ru"}).get("/")).text
        assert "Счетов в минусе" in page
        assert "расходится" in page
        assert "Неделя 2 \N{EN DASH} 8 мар." in page

    async def test_only_administrators_see_it(self, web: Web) -> None:
        """Everybody else is told so on a page, not by a broken one (N1)."""
        answer = await web.browser(CurrentUser(guid(2), Role.ACCOUNTANT)).get("/")
        assert answer.status_code == 403
        assert answer.headers["Content-Type"].startswith("text/html")

    async def test_nobody_is_led_to_the_sign_in(self, web: Web) -> None:
        answer = await web.browser().get("/")
        assert answer.status_code == 303
        assert "/login" in answer.headers["Location"]

    async def test_period_stands_in_the_address(
        self, analytics: Service, browser: httpx2.AsyncClient
    ) -> None:
        await hear(analytics, fee(11, 1_500))
        inside = await browser.get("/", params={"from": "2026-03-01", "to": "2026-03-02"})
        outside = await browser.get("/", params={"from": "2026-02-01", "to": "2026-03-01"})
        assert 'value="2026-03-01"' in inside.text
        assert "Nothing happened" not in inside.text
        assert "Nothing happened" in outside.text

    async def test_a_wrong_period_is_said_beside_the_form(self, browser: httpx2.AsyncClient) -> None:
        """What was typed stays, and the usual period is shown meanwhile."""
        answer = await browser.get("/", params={"from": "2026-03-05", "to": "2026-03-01"})
        assert answer.status_code == 422
        assert "The first day of the period lies after its last day." in answer.text
        assert 'value="2026-03-05"' in answer.text

    async def test_empty_fields_mean_the_usual_period(self, browser: httpx2.AsyncClient) -> None:
        answer = await browser.get("/", params={"from": "", "to": ""})
        assert answer.status_code == 200
        assert 'value="2026-02-17"' in answer.text


class TestNow:
    async def test_live_part_is_a_block_of_the_page(
        self, analytics: Service, browser: httpx2.AsyncClient
    ) -> None:
        """What a page asks for when something was heard is exactly what a reload would show."""
        await hear(analytics, fee(11, 1_500))
        assert await analytics.scalar("select topic from live_changes limit 1") == "today"
        part = (await browser.get("/now", headers={"HX-Request": "true"})).text
        assert part.strip().startswith("<section")
        assert "of 1 account; debts $15.00" in part
        assert "<html" not in part

    async def test_without_htmx_it_is_the_page(self, browser: httpx2.AsyncClient) -> None:
        answer = await browser.get("/now")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/analytics/")


class TestDaysFile:
    async def test_holds_the_days_of_the_period(
        self, analytics: Service, browser: httpx2.AsyncClient
    ) -> None:
        """A CSV file with the API's names and cents, the earliest day first."""
        await hear(analytics, fee(11, 1_500), payout(12, 300))
        answer = await browser.get("/days.csv", params={"from": "2026-03-01", "to": "2026-03-02"})
        assert answer.headers["Content-Type"].startswith("text/csv")
        assert "days-2026-03-01-2026-03-02.csv" in answer.headers["Content-Disposition"]
        (row,) = csv.DictReader(io.StringIO(answer.text))
        assert (row["business_date"], row["closed"], row["income_cents"]) == ("2026-03-02", "false", "1500")
        assert (row["payouts_cents"], row["carried_debt_cents"]) == ("300", "")

    async def test_only_for_administrators(self, web: Web) -> None:
        assert (await web.browser(CurrentUser(guid(2), Role.MANAGER)).get("/days.csv")).status_code == 403
