from datetime import date, timedelta
from typing import Any

from analytics import events, queries
from analytics.domain import Period
from tests.analytics import facts
from tests.analytics.facts import MONDAY, created, day_result, fee, guid, hear, payout, reward
from tests.support.services import Service

TUESDAY = MONDAY + timedelta(days=1)


async def days(service: Service, first: date = MONDAY, last: date = TUESDAY) -> list[queries.Day]:
    async with service.reading() as session:
        return await queries.days(session, Period(first, last))


class TestDays:
    async def test_open_day_shows_our_own_sums(self, analytics: Service) -> None:
        """Per task the net of fees and reward counts as profit or deficit; income is their sum (R9, A5)."""
        await hear(
            analytics,
            fee(11, 1_500, task=1),
            reward(12, 2_500, task=1),
            fee(13, 1_200, task=2),
            fee(14, 2_000, task=3),
            reward(15, 2_000, task=3, late=True),
            payout(16, 500, day=TUESDAY),
        )
        tuesday, monday = await days(analytics)
        assert not monday.closed
        assert monday.agrees is None
        assert monday.income_cents == 1_500 + 1_200 + 2_000 - 2_500 - 2_000
        assert (monday.fees_cents, monday.rewards_cents, monday.payouts_cents) == (4_700, 4_500, 0)
        assert (monday.task_count_profit, monday.task_count_deficit) == (1, 1)
        assert (monday.max_cost_task_cents, monday.max_cost_task_id) == (2_500, guid(1))
        assert monday.late_count == 1
        assert (tuesday.payouts_cents, tuesday.payout_count, tuesday.income_cents) == (500, 1, 0)
        assert tuesday.max_cost_task_cents is None

    async def test_closed_day_shows_what_billing_said(self, analytics: Service) -> None:
        """DayResult is stored and shown as it came (S3-34), and compared with our own sums."""
        entries = (fee(11, 1_500, task=1), reward(12, 2_500, task=1))
        said: dict[str, Any] = {
            "max_cost_task": 2_500,
            "max_cost_task_id": guid(1),
            "task_count_deficit": 1,
            "income": -1_000,
            "fees_cents": 1_500,
            "rewards_cents": 2_500,
            "carried_debt_cents": 700,
            "accounts_negative": 2,
        }
        await hear(analytics, day_result(13, **said))
        assert [day.agrees for day in await days(analytics)] == [False]
        await hear(analytics, *entries)
        (day,) = await days(analytics)
        assert day.closed
        assert day.agrees
        assert (day.income_cents, day.carried_debt_cents, day.accounts_negative) == (-1_000, 700, 2)
        assert (day.max_cost_task_cents, day.max_cost_task_id) == (2_500, guid(1))

    async def test_only_the_days_asked_for(self, analytics: Service) -> None:
        """Both ends of the period belong to it, its neighbours do not; the latest day comes first."""
        await hear(analytics, *(fee(11 + n, 1_000, day=MONDAY + timedelta(days=n)) for n in range(-1, 3)))
        assert [day.business_date for day in await days(analytics)] == [TUESDAY, MONDAY]


class TestNow:
    async def test_nothing_heard_is_zero(self, analytics: Service) -> None:
        async with analytics.reading() as session:
            now = await queries.now(session, MONDAY)
            fresh = await queries.freshness(session)
        assert (now.income_cents, now.accounts_below_zero, now.accounts_total) == (0, 0, 0)
        assert (fresh.as_of, fresh.lag_s) == (None, None)

    async def test_income_is_of_today_and_debts_are_of_now(self, analytics: Service) -> None:
        """Yesterday's fee is no income of today, but the debt it left still counts (N2, R6)."""
        await hear(
            analytics,
            fee(11, 1_500, user=1, day=MONDAY),
            fee(12, 1_000, user=2, day=TUESDAY),
            reward(13, 3_000, user=2, day=TUESDAY),
            fee(14, 1_100, user=3, day=TUESDAY),
            reward(15, 1_100, user=3, day=TUESDAY),
            facts.account(16, 4),
        )
        async with analytics.reading() as session:
            now = await queries.now(session, TUESDAY)
        assert now.income_cents == 1_000 + 1_100 - 3_000 - 1_100
        assert (now.accounts_below_zero, now.accounts_total, now.debts_cents) == (1, 3, 1_500)
        assert (now.assigned_count, now.completed_count) == (2, 2)

    async def test_figures_are_as_of_the_latest_event(self, analytics: Service) -> None:
        """An event that happened earlier and is heard later does not turn the clock back."""
        await hear(analytics, fee(11, 1_500))
        before = facts.NOON - timedelta(hours=1)
        await hear(
            analytics, facts.heard(events.TaskAssigned, number=12, key=guid(1), at=before, task_id=guid(1))
        )
        async with analytics.reading() as session:
            fresh = await queries.freshness(session)
        assert fresh.as_of == facts.NOON
        assert fresh.lag_s is not None
        assert fresh.lag_s >= 0


class TestTopTasks:
    async def test_per_day_week_month_and_range(self, analytics: Service) -> None:
        """Only completed tasks count; weeks and months are whole, the range is as asked (N3, R5)."""
        saturday, sunday = date(2026, 2, 28), date(2026, 3, 1)
        await hear(
            analytics,
            created(10, 1, "Cheap"),
            created(11, 2, "Dear", "KEY-2"),
            reward(12, 2_300, task=1, day=sunday),
            reward(13, 3_800, task=2, day=MONDAY),
            reward(14, 2_800, task=3, day=TUESDAY),
            reward(15, 4_000, task=4, day=saturday),
            fee(16, 9_900, task=5, day=TUESDAY),
        )
        async with analytics.reading() as session:
            top = await queries.top_tasks(session, Period(sunday, TUESDAY))
        assert [(task.business_date, task.reward_cents) for task in top.days] == [
            (TUESDAY, 2_800),
            (MONDAY, 3_800),
            (sunday, 2_300),
        ]
        assert top.whole.task is not None
        assert (top.whole.task.title, top.whole.task.jira_id) == ("Dear", "KEY-2")
        weeks = [(week.period.first, week.task and week.task.reward_cents) for week in top.weeks]
        assert weeks == [(MONDAY, 3_800), (date(2026, 2, 23), 4_000)]
        months = [(month.period.first, month.task and month.task.reward_cents) for month in top.months]
        assert months == [(sunday, 3_800)]

    async def test_equal_rewards_are_counted(self, analytics: Service) -> None:
        """Prices are whole dollars from 20 to 40, so several tasks are often the dearest."""
        await hear(
            analytics, *(reward(10 + task, 4_000, task=task) for task in (3, 1, 2)), fee(20, 1_000, task=1)
        )
        async with analytics.reading() as session:
            top = await queries.top_tasks(session, Period(MONDAY, MONDAY))
        assert top.whole.task is not None
        assert (top.whole.task.task_id, top.whole.task.equal_count) == (guid(1), 3)

    async def test_a_task_without_a_known_title_is_shown(self, analytics: Service) -> None:
        """The reward may be heard before the task's creation."""
        await hear(analytics, reward(11, 4_000))
        async with analytics.reading() as session:
            top = await queries.top_tasks(session, Period(MONDAY, MONDAY))
        assert top.whole.task is not None
        assert top.whole.task.title is None
