"""Every read: days, today, the dearest tasks, how fresh the figures are."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from analytics.domain import DearestTask, Period, dearest, months_touching, weeks_touching
from analytics.models import Account, DayFigures, DayResult, RawEvent, Task, TaskDay
from service_kit.database import ReadSession


@dataclass(frozen=True, slots=True)
class Day:
    """One business day: as billing closed it, or as far as it has come."""

    business_date: date
    closed: bool
    income_cents: int
    max_cost_task_cents: int | None
    max_cost_task_id: UUID | None
    task_count_profit: int
    task_count_deficit: int
    fees_cents: int
    rewards_cents: int
    payouts_cents: int
    payout_count: int
    late_count: int
    carried_debt_cents: int | None
    accounts_negative: int | None
    time_zone: str | None
    closed_at: datetime | None
    agrees: bool | None
    """Whether the closed day is what our own sums over the ledger give; None while the day is open."""


@dataclass(frozen=True, slots=True)
class Now:
    """Today so far."""

    business_date: date
    income_cents: int
    fees_cents: int
    rewards_cents: int
    assigned_count: int
    completed_count: int
    accounts_below_zero: int
    accounts_total: int
    debts_cents: int


@dataclass(frozen=True, slots=True)
class Freshness:
    """Up to when the figures tell, and how long the event that was heard last was under way."""

    as_of: datetime | None
    lag_s: float | None


@dataclass(frozen=True, slots=True)
class PeriodTop:
    period: Period
    task: DearestTask | None


@dataclass(frozen=True, slots=True)
class TopTasks:
    """The dearest completed task of the range, and of each day, calendar week and month it touches (R5).

    Weeks and months are whole, also where the range covers only a part of them.
    """

    whole: PeriodTop
    days: list[DearestTask]
    weeks: list[PeriodTop]
    months: list[PeriodTop]


async def days(session: ReadSession, period: Period) -> list[Day]:
    """Every day of the period that has a figure, the latest first."""
    figures = await _figures(session, period)
    tasks = await _tasks_by_day(session, period)
    closed = await session.scalars(
        select(DayResult).where(DayResult.business_date.between(period.first, period.last))
    )
    results = {result.business_date: result for result in closed}
    nothing = DayFigures(**dict.fromkeys(_FIGURES, 0))
    return [
        _day(day, figures.get(day, nothing), tasks.get(day, _TasksOfDay()), results.get(day))
        for day in sorted(figures.keys() | results.keys(), reverse=True)
    ]


_FIGURES = (
    "fees_cents",
    "rewards_cents",
    "payouts_cents",
    "fee_count",
    "reward_count",
    "payout_count",
    "late_count",
)


@dataclass(frozen=True, slots=True)
class _TasksOfDay:
    dearest_cents: int | None = None
    dearest_id: UUID | None = None
    profit: int = 0
    deficit: int = 0


async def _figures(session: ReadSession, period: Period) -> dict[date, DayFigures]:
    found = await session.scalars(
        select(DayFigures).where(DayFigures.business_date.between(period.first, period.last))
    )
    return {figures.business_date: figures for figures in found}


async def _tasks_by_day(session: ReadSession, period: Period) -> dict[date, _TasksOfDay]:
    """Per day, how many of the tasks it touched were a gain or a loss, and the dearest of them (R9)."""
    net = TaskDay.fees_cents - TaskDay.reward_cents
    counts = await session.execute(
        select(
            TaskDay.business_date,
            func.count().filter(net > 0).label("profit"),
            func.count().filter(net < 0).label("deficit"),
        )
        .where(TaskDay.business_date.between(period.first, period.last))
        .group_by(TaskDay.business_date)
    )
    best = {task.business_date: task for task in await _dearest_by_day(session, period)}
    return {
        row.business_date: _TasksOfDay(
            task.reward_cents if (task := best.get(row.business_date)) else None,
            task.task_id if task else None,
            row.profit,
            row.deficit,
        )
        for row in counts
    }


def _day(day: date, figures: DayFigures, tasks: _TasksOfDay, result: DayResult | None) -> Day:
    income_cents = figures.fees_cents - figures.rewards_cents
    if result is None:
        return Day(
            business_date=day,
            closed=False,
            income_cents=income_cents,
            max_cost_task_cents=tasks.dearest_cents,
            max_cost_task_id=tasks.dearest_id,
            task_count_profit=tasks.profit,
            task_count_deficit=tasks.deficit,
            fees_cents=figures.fees_cents,
            rewards_cents=figures.rewards_cents,
            payouts_cents=figures.payouts_cents,
            payout_count=figures.payout_count,
            late_count=figures.late_count,
            carried_debt_cents=None,
            accounts_negative=None,
            time_zone=None,
            closed_at=None,
            agrees=None,
        )
    agrees = (
        result.income_cents,
        result.max_cost_task_cents,
        result.task_count_profit,
        result.task_count_deficit,
        result.fees_cents,
        result.rewards_cents,
        result.payouts_cents,
        result.payout_count,
    ) == (
        income_cents,
        tasks.dearest_cents,
        tasks.profit,
        tasks.deficit,
        figures.fees_cents,
        figures.rewards_cents,
        figures.payouts_cents,
        figures.payout_count,
    )
    return Day(
        business_date=day,
        closed=True,
        income_cents=result.income_cents,
        max_cost_task_cents=result.max_cost_task_cents,
        max_cost_task_id=result.max_cost_task_id,
        task_count_profit=result.task_count_profit,
        task_count_deficit=result.task_count_deficit,
        fees_cents=result.fees_cents,
        rewards_cents=result.rewards_cents,
        payouts_cents=result.payouts_cents,
        payout_count=result.payout_count,
        late_count=result.late_count,
        carried_debt_cents=result.carried_debt_cents,
        accounts_negative=result.accounts_negative,
        time_zone=result.time_zone,
        closed_at=result.closed_at,
        agrees=agrees,
    )


async def now(session: ReadSession, today: date) -> Now:
    """Today's income so far, and the accounts whose balance is below zero at this moment (R6)."""
    figures = await session.get(DayFigures, today)
    below_zero = Account.balance_cents < 0
    accounts = (
        await session.execute(
            select(
                func.count().filter(below_zero).label("below_zero"),
                func.count().label("total"),
                func.coalesce(-func.sum(Account.balance_cents).filter(below_zero), 0).label("debts_cents"),
            ).where(Account.entry_count > 0)
        )
    ).one()
    fees_cents, rewards_cents = (figures.fees_cents, figures.rewards_cents) if figures else (0, 0)
    return Now(
        business_date=today,
        income_cents=fees_cents - rewards_cents,
        fees_cents=fees_cents,
        rewards_cents=rewards_cents,
        assigned_count=figures.fee_count if figures else 0,
        completed_count=figures.reward_count if figures else 0,
        accounts_below_zero=accounts.below_zero,
        accounts_total=accounts.total,
        debts_cents=int(accounts.debts_cents),
    )


async def freshness(session: ReadSession) -> Freshness:
    # Not the last event's own time: the end of a day, for instance, is said after work of the next one.
    as_of = await session.scalar(select(func.max(RawEvent.occurred_at)))
    columns = (RawEvent.sent_at, RawEvent.received_at)
    last = (await session.execute(select(*columns).order_by(RawEvent.seq.desc()).limit(1))).one_or_none()
    if last is None:
        return Freshness(None, None)
    # Two machines' clocks may differ by more than the way took.
    return Freshness(as_of, max(0.0, (last.received_at - last.sent_at).total_seconds()))


async def top_tasks(session: ReadSession, period: Period) -> TopTasks:
    weeks, months = weeks_touching(period), months_touching(period)
    touched = Period(min(weeks[0].first, months[0].first), max(weeks[-1].last, months[-1].last))
    by_day = await _dearest_by_day(session, touched)
    return TopTasks(
        whole=PeriodTop(period, dearest(by_day, period)),
        days=[task for task in by_day if task.business_date in period],
        weeks=[PeriodTop(week, dearest(by_day, week)) for week in reversed(weeks)],
        months=[PeriodTop(month, dearest(by_day, month)) for month in reversed(months)],
    )


async def _dearest_by_day(session: ReadSession, period: Period) -> list[DearestTask]:
    """Of each day the completed task with the highest reward, among equals the lowest id; latest first."""
    equal_count = func.count().over(partition_by=(TaskDay.business_date, TaskDay.reward_cents))
    best = (
        select(TaskDay.business_date, TaskDay.task_id, TaskDay.reward_cents, equal_count.label("equal_count"))
        .ext(distinct_on(TaskDay.business_date))
        .where(TaskDay.business_date.between(period.first, period.last), TaskDay.reward_cents > 0)
        .order_by(TaskDay.business_date.desc(), TaskDay.reward_cents.desc(), TaskDay.task_id)
        .subquery()
    )
    rows = await session.execute(
        select(best, Task.title, Task.jira_id)
        .outerjoin(Task, Task.task_id == best.c.task_id)
        .order_by(best.c.business_date.desc())
    )
    return [
        DearestTask(row.business_date, row.task_id, row.title, row.jira_id, row.reward_cents, row.equal_count)
        for row in rows
    ]
