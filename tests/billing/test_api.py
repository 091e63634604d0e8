"""The JSON API: the own account for everybody, the books for accountants and admins only."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import httpx2
import pytest

from billing import commands
from service_kit.identity import CurrentUser, Role
from service_kit.ids import new_id
from tests.billing.facts import NOON, a_working_day, assigned, close_all, completed, created, hear, next_night
from tests.support.services import Service
from tests.support.web import Web

ANNA = UUID(int=1)
WORKERS = [ANNA, *(UUID(int=n) for n in range(2, 5))]
BOOKS = (
    "/api/v1/accounts",
    f"/api/v1/accounts/{ANNA}/entries",
    "/api/v1/days",
    "/api/v1/days/2026-03-02",
    "/api/v1/days/2026-03-02/payouts",
)


def somebody(role: Role, guid: UUID | None = None) -> CurrentUser:
    return CurrentUser(guid or new_id(), role)


class TestRights:
    @pytest.mark.parametrize("path", [*BOOKS, "/api/v1/accounts/me", "/api/v1/accounts/me/entries"])
    async def test_nobody_without_a_token(self, web: Web, path: str) -> None:
        """Whoever is not signed in gets 401."""
        async with web.client() as client:
            answer = await client.get(path)
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthenticated"

    @pytest.mark.parametrize("role", [Role.WORKER, Role.MANAGER, Role.CLIENT])
    async def test_the_books_are_closed_to_others(self, web: Web, role: Role) -> None:
        """A worker does not see other accounts, nor the books of the house (A1)."""
        async with web.api(somebody(role)) as client:
            for path in BOOKS:
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["code"]) == (403, "wrong_role"), path

    @pytest.mark.parametrize("role", [Role.ACCOUNTANT, Role.ADMIN])
    async def test_the_books_are_open_to_accountants(self, billing: Service, web: Web, role: Role) -> None:
        """Accountants and administrators read everything."""
        await a_working_day(billing, WORKERS)
        async with web.api(somebody(role)) as client:
            assert [(await client.get(path)).status_code for path in BOOKS] == [200] * len(BOOKS)

    @pytest.mark.parametrize("role", list(Role))
    async def test_the_own_account_is_open_to_its_owner(self, web: Web, role: Role) -> None:
        """Everybody has an account to look at, empty at first."""
        me = somebody(role)
        async with web.api(me) as client:
            found = (await client.get("/api/v1/accounts/me")).json()
        assert found == {"account_id": str(me.guid), "balance_cents": 0, "earned_today_cents": 0}


class TestMyAccount:
    async def test_balance_and_today(self, billing: Service, web: Web) -> None:
        """The balance is of all time, what was earned is of this business day; payouts are no loss."""
        await a_working_day(billing, WORKERS)
        next_night(billing)
        await close_all(billing)
        task = new_id()
        now = billing.clock.now()
        await hear(billing, created(task, moment=now), assigned(task, ANNA, now))
        async with web.api(somebody(Role.WORKER, ANNA)) as client:
            found = (await client.get("/api/v1/accounts/me")).json()
        assert found["balance_cents"] == found["earned_today_cents"] < 0

    async def test_entries(self, billing: Service, web: Web) -> None:
        """The newest first, with what it was for and the balance it left."""
        task = new_id()
        await hear(billing, created(task, "Mend the roof"), assigned(task, ANNA), completed(task, ANNA))
        next_night(billing)
        await close_all(billing)
        async with web.api(somebody(Role.WORKER, ANNA)) as client:
            page = (await client.get("/api/v1/accounts/me/entries")).json()
        assert page["next"] is None
        kinds = [item["kind"] for item in page["items"]]
        assert kinds in (["payout", "reward", "fee"], ["reward", "fee"])
        fee, reward = page["items"][-1], page["items"][-2]
        assert (fee["title"], fee["jira_id"], fee["task_id"]) == ("Mend the roof", "KEY-1", str(task))
        assert fee["amount_cents"] < 0 < reward["amount_cents"]
        assert reward["balance_after_cents"] == fee["balance_after_cents"] + reward["amount_cents"]
        assert fee["business_date"] == "2026-03-02"

    async def test_pages_and_days(self, billing: Service, web: Web) -> None:
        """Pages do not overlap and miss nothing, also while entries are added; a day can be picked."""
        for n in range(3):
            await a_working_day(billing, [ANNA], NOON + timedelta(days=n))
        async with web.api(somebody(Role.WORKER, ANNA)) as client:
            first = (await client.get("/api/v1/accounts/me/entries?limit=5")).json()
            await a_working_day(billing, [ANNA], NOON + timedelta(days=3))
            second = (
                await client.get(
                    "/api/v1/accounts/me/entries", params={"limit": 200, "cursor": first["next"]}
                )
            ).json()
            day = (await client.get("/api/v1/accounts/me/entries?day=2026-03-03")).json()
        ids = [item["id"] for item in first["items"] + second["items"]]
        assert len(ids) == len(set(ids)) == 12
        assert {item["business_date"] for item in day["items"]} == {"2026-03-03"}

    @pytest.mark.parametrize("query", ["cursor=nonsense", "limit=0", "limit=1000", "day=yesterday"])
    async def test_bad_queries(self, web: Web, query: str) -> None:
        """A query that means nothing is refused with the field named."""
        async with web.api(somebody(Role.WORKER)) as client:
            answer = await client.get(f"/api/v1/accounts/me/entries?{query}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


class TestBooks:
    @pytest.fixture
    async def books(self, web: Web) -> AsyncIterator[httpx2.AsyncClient]:
        async with web.api(somebody(Role.ACCOUNTANT)) as client:
            yield client

    async def test_accounts(self, billing: Service, books: httpx2.AsyncClient) -> None:
        """The deepest debt first; everything together is zero, for every cent has two sides."""
        await a_working_day(billing, WORKERS)
        items = (await books.get("/api/v1/accounts")).json()["items"]
        balances = [item["balance_cents"] for item in items]
        assert balances == sorted(balances)
        assert sum(balances) == 0
        below = (await books.get("/api/v1/accounts?below_zero=true&kind=worker")).json()["items"]
        assert {item["kind"] for item in below} == {"worker"}
        assert all(item["balance_cents"] < 0 for item in below)
        assert below

    async def test_accounts_in_pages(self, billing: Service, books: httpx2.AsyncClient) -> None:
        """Accounts of equal balance are neither lost nor shown twice between pages."""
        for n in range(7):
            async with billing.transaction() as session:
                await commands.open_account(session, UUID(int=n + 1))
        found, cursor = [], ""
        while cursor is not None:
            page = (await books.get("/api/v1/accounts", params={"limit": 2, "cursor": cursor})).json()
            found += [item["id"] for item in page["items"]]
            cursor = page["next"]
        assert len(found) == len(set(found)) == 9

    async def test_unknown_account(self, books: httpx2.AsyncClient) -> None:
        """An id that billing does not know is 404."""
        answer = await books.get(f"/api/v1/accounts/{new_id()}/entries")
        assert (answer.status_code, answer.json()["code"]) == (404, "account_unknown")

    async def test_today_is_open_and_live(self, billing: Service, books: httpx2.AsyncClient) -> None:
        """Today stands among the days before it is closed, even without work, and follows the work."""
        before = (await books.get("/api/v1/days")).json()["items"]
        assert [(day["business_date"], day["state"]) for day in before] == [("2026-03-02", "open")]
        await a_working_day(billing, WORKERS)
        (day,) = (await books.get("/api/v1/days")).json()["items"]
        assert day["fees_cents"] > 0
        assert day["income_cents"] == day["fees_cents"] - day["rewards_cents"]
        assert day["opening_cents"] - day["fees_cents"] + day["rewards_cents"] == day["closing_cents"]
        assert day == (await books.get("/api/v1/days/2026-03-02")).json()

    async def test_an_ended_day_is_closing(self, billing: Service, books: httpx2.AsyncClient) -> None:
        """Between midnight and the close the day is shown as closing."""
        await a_working_day(billing, WORKERS)
        next_night(billing)
        days = (await books.get("/api/v1/days")).json()["items"]
        assert [(day["business_date"], day["state"]) for day in days] == [
            ("2026-03-03", "open"),
            ("2026-03-02", "closing"),
        ]

    async def test_closed_days(self, billing: Service, books: httpx2.AsyncClient) -> None:
        """A closed day shows what was fixed at the close; each opens where the one before ended."""
        for _ in range(3):
            await a_working_day(billing, WORKERS, billing.clock.now())
            next_night(billing)
            await close_all(billing)
        first = (await books.get("/api/v1/days?limit=2")).json()
        rest = (await books.get("/api/v1/days", params={"limit": 2, "cursor": first["next"]})).json()
        days = first["items"] + rest["items"]
        assert [day["business_date"] for day in days] == [
            "2026-03-05",
            "2026-03-04",
            "2026-03-03",
            "2026-03-02",
        ]
        assert [day["state"] for day in days] == ["open", "closed", "closed", "closed"]
        assert rest["next"] is None
        for later, earlier in pairwise(days):
            assert later["opening_cents"] == earlier["closing_cents"] == -earlier["carried_debt_cents"]
        for day in days:
            moved = day["rewards_cents"] - day["fees_cents"] - day["payouts_cents"]
            assert day["opening_cents"] + moved == day["closing_cents"]

    async def test_payouts(self, billing: Service, books: httpx2.AsyncClient) -> None:
        """The day's payouts add up to its figure and say whether the letter is written."""
        await a_working_day(billing, WORKERS)
        next_night(billing)
        await close_all(billing)
        day = (await books.get("/api/v1/days/2026-03-02")).json()
        payouts = (await books.get("/api/v1/days/2026-03-02/payouts")).json()["items"]
        assert sum(item["amount_cents"] for item in payouts) == day["payouts_cents"] > 0
        assert len(payouts) == day["payout_count"]
        assert {item["letter"] for item in payouts} == {"queued"}

    @pytest.mark.parametrize(("day", "status"), [("2031-01-01", 404), ("1999-01-01", 404), ("soon", 422)])
    async def test_days_that_are_not(self, books: httpx2.AsyncClient, day: str, status: int) -> None:
        """A date before the ledger, or after today, is no day of it."""
        for path in (f"/api/v1/days/{day}", f"/api/v1/days/{day}/payouts"):
            assert (await books.get(path)).status_code == status
