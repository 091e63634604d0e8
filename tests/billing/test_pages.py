"""The pages: right without scripts, live with them, in both languages."""

import re
from datetime import timedelta
from uuid import UUID

import pytest

from service_kit.identity import CurrentUser, Role
from service_kit.ids import new_id
from tests.billing.facts import NOON, a_working_day, assigned, close_all, completed, created, hear, next_night
from tests.support.services import Service
from tests.support.web import Web

ANNA = UUID(int=1)
WORKER = CurrentUser(ANNA, Role.WORKER)
ACCOUNTANT = CurrentUser(UUID(int=9), Role.ACCOUNTANT)
BOOKS = ("/today", "/days", "/days/2026-03-02", "/accounts", f"/accounts/{ANNA}")
HTMX = {"HX-Request": "true"}


class TestRights:
    @pytest.mark.parametrize("path", BOOKS)
    async def test_books_are_for_accountants(self, billing: Service, web: Web, path: str) -> None:
        """A worker is refused with a page that says so."""
        await a_working_day(billing, [ANNA])
        async with web.browser(WORKER) as worker, web.browser(ACCOUNTANT) as accountant:
            refused, shown = await worker.get(path), await accountant.get(path)
        assert refused.status_code == 403
        assert shown.status_code == 200
        assert "<h1>" in shown.text

    async def test_clients_have_no_account(self, billing: Service, web: Web) -> None:
        """Who only orders work is told so; who has worked before becoming a client sees what is left."""
        await a_working_day(billing, [ANNA])
        client, former = CurrentUser(UUID(int=8), Role.CLIENT), CurrentUser(ANNA, Role.CLIENT)
        async with web.browser(client) as stranger, web.browser(former) as known:
            refused, shown = await stranger.get("/"), await known.get("/")
        assert refused.status_code == 403
        assert "Clients have no account here" in refused.text
        assert "Fee for the assignment" in shown.text

    async def test_nobody_is_led_to_the_sign_in(self, web: Web) -> None:
        """Without a session the page leads to the sign-in."""
        async with web.browser() as browser:
            answer = await browser.get("/")
        assert answer.status_code == 303
        assert "/login" in answer.headers["location"]


class TestMyMoney:
    async def test_it_works(self, billing: Service, web: Web) -> None:
        """Balance, earnings and each entry with the title of its task and the running balance."""
        task = new_id()
        await hear(billing, created(task, "Mend the roof"), assigned(task, ANNA), completed(task, ANNA))
        async with web.browser(WORKER) as browser:
            text = (await browser.get("/")).text
        assert "Mend the roof" in text
        assert "KEY-1" in text
        assert "Fee for the assignment" in text
        assert "Reward for the work" in text
        assert f"/tasks/{task}" in text

    async def test_nothing_yet(self, web: Web) -> None:
        """Somebody new is told what will stand here."""
        async with web.browser(WORKER) as browser:
            assert "Nothing has moved yet" in (await browser.get("/")).text

    async def test_russian(self, web: Web) -> None:
        """The page speaks the reader's language."""
        async with web.browser(WORKER, **{"Accept-Language": "ru"}) as browser:
            assert "Мои деньги" in (await browser.get("/")).text

    async def test_live(self, billing: Service, web: Web) -> None:
        """The page follows its owner's account: what moved is announced, and only its parts are asked for."""
        await a_working_day(billing, [ANNA])
        async with web.browser(WORKER) as browser:
            page = (await browser.get("/")).text
            fresh = (await browser.get("/", headers=HTMX)).text
        assert 'data-live-on="mine"' in page
        assert "<html" not in fresh
        assert 'id="balance"' in fresh
        assert 'id="entry-1"' in fresh
        announced = await billing.scalar("select string_agg(distinct topic, ' ') from live_changes")
        assert announced == f"account:{ANNA} books"

    async def test_the_money_of_a_task(self, billing: Service, web: Web) -> None:
        """Whoever had the task sees the own entries, who keeps the books everybody's, others none."""
        task = new_id()
        await hear(billing, created(task), assigned(task, ANNA), completed(task, ANNA))
        shown = {}
        for person in (WORKER, ACCOUNTANT, CurrentUser(UUID(int=3), Role.WORKER)):
            async with web.browser(person) as browser:
                shown[person.guid] = (await browser.get(f"/tasks/{task}")).text
        assert [text.count("Reward for the work") for text in shown.values()] == [1, 1, 0]
        assert f"/accounts/{ANNA}" not in shown[ANNA]
        assert f"/accounts/{ANNA}" in shown[ACCOUNTANT.guid]
        assert "/days/2026-03-02" in shown[ACCOUNTANT.guid]
        assert "Nothing has moved for this task" in shown[UUID(int=3)]

    async def test_older_entries(self, billing: Service, web: Web) -> None:
        """What does not fit on the page follows by a link that works without scripts."""
        for n in range(4):
            await a_working_day(billing, [ANNA], NOON + timedelta(minutes=n))
        async with web.browser(WORKER) as browser:
            first = (await browser.get("/?limit=3")).text
            found = re.search(r'href="([^"]*cursor=[^"]*)"', first)
            assert found
            second = (await browser.get(found[1].replace("&amp;", "&").removeprefix("/billing"))).text
        ids = [re.findall(r'id="(entry-\d+)"', text) for text in (first, second)]
        assert ids == [["entry-16", "entry-15", "entry-14"], [f"entry-{n}" for n in range(13, 0, -1)]]

    async def test_titles_are_text(self, billing: Service, web: Web) -> None:
        """A title with markup in it is shown, not run."""
        task = new_id()
        await hear(billing, created(task, "<script>alert(1)</script>"), assigned(task, ANNA))
        async with web.browser(WORKER) as browser:
            text = (await browser.get("/")).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text


class TestBooks:
    async def test_today(self, billing: Service, web: Web) -> None:
        """What the company earned so far, and who is below zero, with a way to the account."""
        debtor, task = new_id(), new_id()
        await hear(billing, created(task), assigned(task, debtor))
        async with web.browser(ACCOUNTANT) as browser:
            text = (await browser.get("/today")).text
            block = (await browser.get("/today", headers=HTMX)).text
        assert f"/accounts/{debtor}" in text
        assert "The company earned" in text
        assert "<html" not in block

    async def test_a_day_before_and_after_its_close(self, billing: Service, web: Web) -> None:
        """Open days say when payouts are made; closed ones list them with their letters."""
        await a_working_day(billing, [ANNA, UUID(int=2)])
        async with web.browser(ACCOUNTANT) as browser:
            before = (await browser.get("/days/2026-03-02")).text
            next_night(billing)
            await close_all(billing)
            after = (await browser.get("/days/2026-03-02")).text
            days = (await browser.get("/days")).text
        assert "Payouts are made after midnight" in before
        assert "Closed and paid" in after
        assert "When the day began" in after
        assert f"/accounts/{ANNA}" in after
        assert "/days/2026-03-02" in days
        assert "<svg" in days

    async def test_late_arrivals(self, billing: Service, web: Web) -> None:
        """What came after the close is listed on the day it counts on (R8)."""
        task = new_id()
        await hear(billing, created(task), assigned(task, ANNA))
        next_night(billing)
        await close_all(billing)
        await hear(billing, completed(task, ANNA))
        async with web.browser(ACCOUNTANT) as browser:
            text = (await browser.get("/days/2026-03-03")).text
        assert "Arrived late" in text
        assert "Mend the roof" in text

    async def test_accounts(self, billing: Service, web: Web) -> None:
        """All accounts with the company among them, or only those below zero; entries one tap away."""
        await a_working_day(billing, [ANNA, UUID(int=2)])
        async with web.browser(ACCOUNTANT) as browser:
            everything = (await browser.get("/accounts")).text
            below = (await browser.get("/accounts?below_zero=true")).text
            one = (await browser.get(f"/accounts/{ANNA}?day=2026-03-02")).text
        assert "Company" in everything
        assert f"/accounts/{UUID(int=2)}" in below
        assert "Company" not in below
        assert "Mend the roof" in one

    async def test_unknown(self, web: Web) -> None:
        """A day or account that does not exist is a page that says so."""
        async with web.browser(ACCOUNTANT) as browser:
            for path in ("/days/1999-01-01", f"/accounts/{new_id()}"):
                answer = await browser.get(path)
                assert answer.status_code == 404
                assert "<h1>" in answer.text
