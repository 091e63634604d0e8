"""JSON routes for administrators: days, now, the dearest tasks."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from analytics import queries
from analytics.domain import DearestTask, Period, asked_period
from service_kit.identity import Role, require
from service_kit.paging import Page
from service_kit.web import ClockDep, Reading, ServiceRouter, SettingsDep

PERIOD_DAYS_DEFAULT = 31

router = ServiceRouter(prefix="/api/v1", tags=["analytics"], dependencies=[require(Role.ADMIN)])


def _asked_period(
    clock: ClockDep,
    settings: SettingsDep,
    first: Annotated[
        date | None, Query(alias="from", description="First business date; 31 days up to `to` when absent")
    ] = None,
    last: Annotated[
        date | None, Query(alias="to", description="Last business date; today when absent")
    ] = None,
) -> Period:
    return asked_period(first, last, today=clock.today(settings.zone), days=PERIOD_DAYS_DEFAULT)


AskedPeriod = Annotated[Period, Depends(_asked_period)]


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class DayAnswer(_Answer):
    business_date: date
    closed: bool = Field(
        description="Closed days are as billing said (DayResult), others as far as they have come"
    )
    income_cents: int = Field(description="Fees less rewards")
    max_cost_task_cents: int | None = Field(description="Highest reward among the tasks completed that day")
    max_cost_task_id: UUID | None
    task_count_profit: int = Field(description="Tasks whose fees of that day exceed their reward of that day")
    task_count_deficit: int
    fees_cents: int
    rewards_cents: int
    payouts_cents: int
    payout_count: int
    late_count: int = Field(description="Entries of an earlier day that arrived after its close")
    carried_debt_cents: int | None = Field(description="Null while the day is open")
    accounts_negative: int | None = Field(description="At the close; null while the day is open")
    time_zone: str | None
    closed_at: datetime | None
    agrees: bool | None = Field(description="Whether DayResult equals the sums over the ledger entries heard")


@router.get("/days")
async def days(session: Reading, period: AskedPeriod) -> Page[DayAnswer]:
    """Business days that have a figure, the latest first."""
    found = await queries.days(session, period)
    return Page(items=[DayAnswer.model_validate(day) for day in found])


class NowAnswer(_Answer):
    business_date: date
    income_cents: int = Field(description="Today's fees less today's rewards, so far")
    fees_cents: int
    rewards_cents: int
    assigned_count: int
    completed_count: int
    accounts_below_zero: int = Field(description="Accounts whose balance is below zero at this moment")
    accounts_total: int = Field(description="Accounts that have ever had an entry")
    debts_cents: int = Field(description="Sum of what the accounts below zero owe")
    as_of: datetime | None = Field(description="When the latest event that is counted here happened")
    lag_s: float | None = Field(description="How long the event heard last was under way")


@router.get("/now")
async def now(session: Reading, clock: ClockDep, settings: SettingsDep) -> NowAnswer:
    """Today so far."""
    today = await queries.now(session, clock.today(settings.zone))
    fresh = await queries.freshness(session)
    return NowAnswer.model_validate(asdict(today) | asdict(fresh))


class TaskAnswer(_Answer):
    business_date: date
    task_id: UUID
    title: str | None = Field(description="Null while its creation has not been heard of")
    jira_id: str | None
    reward_cents: int
    equal_count: int = Field(description="How many tasks of the period had this same reward, itself included")


class PeriodAnswer(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    task: TaskAnswer | None

    @classmethod
    def of(cls, top: queries.PeriodTop) -> Self:
        return cls(first=top.period.first, last=top.period.last, task=_task(top.task))


class TopTasksAnswer(BaseModel):
    whole: PeriodAnswer = Field(serialization_alias="range", description="Exactly the period asked for")
    days: list[TaskAnswer]
    weeks: list[PeriodAnswer] = Field(description="Whole calendar weeks that the period touches")
    months: list[PeriodAnswer] = Field(description="Whole calendar months that the period touches")


@router.get("/top-tasks")
async def top_tasks(session: Reading, period: AskedPeriod) -> TopTasksAnswer:
    """The dearest completed task per day, calendar week and month, and of the range; latest first."""
    top = await queries.top_tasks(session, period)
    return TopTasksAnswer(
        whole=PeriodAnswer.of(top.whole),
        days=[TaskAnswer.model_validate(task) for task in top.days],
        weeks=[PeriodAnswer.of(week) for week in top.weeks],
        months=[PeriodAnswer.of(month) for month in top.months],
    )


def _task(task: DearestTask | None) -> TaskAnswer | None:
    return None if task is None else TaskAnswer.model_validate(task)
