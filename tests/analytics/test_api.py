import httpx2
import pytest

from service_kit.identity import CurrentUser, Role
from tests.analytics.facts import MONDAY, created, day_result, fee, guid, hear, reward
from tests.support.services import Service
from tests.support.web import Web

ADMIN = CurrentUser(guid(1), Role.ADMIN)
ROUTES = ("/api/v1/days", "/api/v1/now", "/api/v1/top-tasks")


@pytest.fixture
def api(web: Web) -> httpx2.AsyncClient:
    return web.api(ADMIN)


class TestRights:
    @pytest.mark.parametrize("route", ROUTES)
    @pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
    async def test_only_administrators_are_answered(self, web: Web, route: str, role: Role) -> None:
        """Analytics is for administrators alone (N1)."""
        answer = await web.api(CurrentUser(guid(2), role)).get(route)
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_role")

    @pytest.mark.parametrize("route", ROUTES)
    async def test_nobody_without_a_token(self, web: Web, route: str) -> None:
        answer = await web.client().get(route)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")

    @pytest.mark.parametrize("route", ROUTES)
    async def test_an_administrator_is_answered_before_anything_happened(
        self, api: httpx2.AsyncClient, route: str
    ) -> None:
        assert (await api.get(route)).status_code == 200


class TestDays:
    async def test_shows_open_and_closed_days(self, analytics: Service, api: httpx2.AsyncClient) -> None:
        """A list of days, the latest first, with every field of DayResult and whether our sums agree."""
        await hear(
            analytics,
            fee(11, 1_500),
            day_result(12, MONDAY, income=1_500, fees_cents=1_500, task_count_profit=1),
        )
        body = (await api.get("/api/v1/days", params={"from": "2026-03-01", "to": "2026-03-02"})).json()
        assert body["next"] is None
        (day,) = body["items"]
        assert (day["business_date"], day["closed"], day["agrees"]) == ("2026-03-02", True, True)
        assert (day["income_cents"], day["task_count_profit"], day["max_cost_task_cents"]) == (1_500, 1, None)
        assert day["closed_at"] == "2026-03-02T22:00:00Z"

    async def test_ends_today_unless_asked_otherwise(
        self, analytics: Service, api: httpx2.AsyncClient
    ) -> None:
        await hear(analytics, fee(11, 1_500))
        assert len((await api.get("/api/v1/days")).json()["items"]) == 1
        assert (await api.get("/api/v1/days", params={"to": "2026-03-01"})).json()["items"] == []

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ({"from": "2026-03-02", "to": "2026-03-01"}, "period_invalid"),
            ({"from": "2020-01-01"}, "period_invalid"),
            ({"to": "0001-01-01"}, "period_invalid"),
            ({"from": "yesterday"}, "invalid"),
            ({"from": ""}, "invalid"),
        ],
    )
    async def test_refuses_what_is_no_period(
        self, api: httpx2.AsyncClient, query: dict[str, str], code: str
    ) -> None:
        answer = await api.get("/api/v1/days", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


class TestNow:
    async def test_shows_income_debts_and_freshness(
        self, analytics: Service, api: httpx2.AsyncClient
    ) -> None:
        await hear(analytics, fee(11, 1_500), reward(12, 2_500, user=2))
        now = (await api.get("/api/v1/now")).json()
        assert now["business_date"] == "2026-03-02"
        assert (now["income_cents"], now["accounts_below_zero"], now["debts_cents"]) == (-1_000, 1, 1_500)
        assert now["as_of"] == "2026-03-02T09:00:00Z"
        assert now["lag_s"] >= 0


class TestTopTasks:
    async def test_answers_range_days_weeks_and_months(
        self, analytics: Service, api: httpx2.AsyncClient
    ) -> None:
        await hear(analytics, created(10, 7, "Feed the bird", "AT-1"), reward(11, 3_800, task=7))
        top = (await api.get("/api/v1/top-tasks", params={"from": "2026-03-02", "to": "2026-03-08"})).json()
        task = {
            "business_date": "2026-03-02",
            "task_id": str(guid(7)),
            "title": "Feed the bird",
            "jira_id": "AT-1",
            "reward_cents": 3_800,
            "equal_count": 1,
        }
        assert top == {
            "range": {"from": "2026-03-02", "to": "2026-03-08", "task": task},
            "days": [task],
            "weeks": [{"from": "2026-03-02", "to": "2026-03-08", "task": task}],
            "months": [{"from": "2026-03-01", "to": "2026-03-31", "task": task}],
        }
