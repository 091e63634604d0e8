"""The views as pure sums over facts, and the calendar periods they are shown by.

Kafka keeps order only inside one key of one topic, and analytics reads four topics. So every change is
written in a form whose result does not depend on the order of facts: amounts are added, and of two statements
about the same thing the one that happened later holds. Folding facts in any order, in batches of any size,
gives equal views.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from service_kit.errors import Invalid
from service_kit.text import message as _

PERIOD_DAYS_MAX = 400
YEAR_MIN, YEAR_MAX = 2000, 2199


class EntryKind(StrEnum):
    FEE = "fee"
    REWARD = "reward"
    PAYOUT = "payout"


def stamp(occurred_at: datetime, event_id: UUID) -> str:
    """A text that sorts by the time of the fact, then by its id: the greater of two stamps holds."""
    return f"{occurred_at.astimezone(UTC).isoformat(timespec='microseconds')} {event_id}"


# The changes that facts make to the views


@dataclass(slots=True)
class DayChange:
    """Sums of one business day; amounts are positive, whoever pays."""

    fees_cents: int = 0
    rewards_cents: int = 0
    payouts_cents: int = 0
    fee_count: int = 0
    reward_count: int = 0
    payout_count: int = 0
    late_count: int = 0


@dataclass(slots=True)
class TaskDayChange:
    """What one task brought (fees) and cost (reward) the company on one business day."""

    fees_cents: int = 0
    reward_cents: int = 0


@dataclass(slots=True)
class AccountChange:
    """Movement of one account, and the last that was said of it; an empty stamp means that nothing was."""

    balance_cents: int = 0
    entry_count: int = 0
    role: str | None = None
    role_stamp: str = ""
    active: bool | None = None
    active_stamp: str = ""


@dataclass(slots=True)
class TaskChange:
    title: str
    jira_id: str | None
    title_stamp: str


@dataclass(frozen=True, slots=True)
class ClosedDay:
    """A day as billing closed it (DayResult)."""

    business_date: date
    time_zone: str
    income_cents: int
    max_cost_task_cents: int | None
    max_cost_task_id: UUID | None
    task_count_profit: int
    task_count_deficit: int
    fees_cents: int
    rewards_cents: int
    payouts_cents: int
    payout_count: int
    carried_debt_cents: int
    accounts_negative: int
    late_count: int
    closed_at: datetime
    result_stamp: str


@dataclass(slots=True)
class Changes:
    """Everything a set of facts changes in the views, summed up before the database is asked."""

    days: defaultdict[date, DayChange] = field(default_factory=lambda: defaultdict(DayChange))
    task_days: defaultdict[tuple[date, UUID], TaskDayChange] = field(
        default_factory=lambda: defaultdict(TaskDayChange)
    )
    accounts: defaultdict[UUID, AccountChange] = field(default_factory=lambda: defaultdict(AccountChange))
    tasks: dict[UUID, TaskChange] = field(default_factory=dict)
    results: dict[date, ClosedDay] = field(default_factory=dict)

    def entry_posted(
        self,
        *,
        user_guid: UUID,
        task_id: UUID | None,
        kind: EntryKind,
        amount_cents: int,
        business_date: date,
        late: bool,
    ) -> None:
        """One entry of a worker's account; `amount_cents` is signed from the worker's view."""
        account, day = self.accounts[user_guid], self.days[business_date]
        account.balance_cents += amount_cents
        account.entry_count += 1
        day.late_count += late
        match kind:
            case EntryKind.FEE:
                day.fees_cents -= amount_cents
                day.fee_count += 1
            case EntryKind.REWARD:
                day.rewards_cents += amount_cents
                day.reward_count += 1
            case EntryKind.PAYOUT:
                day.payouts_cents -= amount_cents
                day.payout_count += 1
        if task_id is None:
            return
        if kind is EntryKind.FEE:
            self.task_days[business_date, task_id].fees_cents -= amount_cents
        elif kind is EntryKind.REWARD:
            self.task_days[business_date, task_id].reward_cents += amount_cents

    def account_has_role(self, user_guid: UUID, role: str, said: str) -> None:
        account = self.accounts[user_guid]
        if said > account.role_stamp:
            account.role, account.role_stamp = role, said

    def account_is_active(self, user_guid: UUID, active: bool, said: str) -> None:  # noqa: FBT001  it is the fact
        account = self.accounts[user_guid]
        if said > account.active_stamp:
            account.active, account.active_stamp = active, said

    def task_has_title(self, task_id: UUID, title: str, jira_id: str | None, said: str) -> None:
        known = self.tasks.get(task_id)
        if known is None or said > known.title_stamp:
            self.tasks[task_id] = TaskChange(title, jira_id, said)

    def day_closed(self, result: ClosedDay) -> None:
        known = self.results.get(result.business_date)
        if known is None or result.result_stamp > known.result_stamp:
            self.results[result.business_date] = result


# Periods


class PeriodInvalid(Invalid):
    code = "period_invalid"


@dataclass(frozen=True, slots=True)
class Period:
    """Business dates from `first` to `last`, both included."""

    first: date
    last: date

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1))

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


def asked_period(first: date | None, last: date | None, *, today: date, days: int) -> Period:
    """The period somebody asked for; what they left open ends today and is `days` long."""
    if last is None:
        last = today if first is None else max(first, today)
    if first is None:
        first = last - timedelta(days=min(days - 1, (last - date.min).days))
    if first.year < YEAR_MIN or last.year > YEAR_MAX:
        raise PeriodInvalid(_("A period lies between the years 2000 and 2199."))
    if first > last:
        raise PeriodInvalid(_("The first day of the period lies after its last day."))
    if (last - first).days >= PERIOD_DAYS_MAX:
        raise PeriodInvalid(_("A period may have 400 days at most."))
    return Period(first, last)


def week_of(day: date) -> Period:
    """The calendar week, Monday to Sunday."""
    monday = day - timedelta(days=day.weekday())
    return Period(monday, monday + timedelta(days=6))


def month_of(day: date) -> Period:
    first = day.replace(day=1)
    # Day 28 exists in every month, and four days later it is the next one.
    return Period(first, (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1))


def weeks_touching(period: Period) -> list[Period]:
    return list(dict.fromkeys(week_of(day) for day in period))


def months_touching(period: Period) -> list[Period]:
    return list(dict.fromkeys(month_of(day) for day in period))


# The dearest task


@dataclass(frozen=True, slots=True)
class DearestTask:
    """The task with the highest reward among those completed in a period (R5)."""

    business_date: date
    task_id: UUID
    title: str | None
    jira_id: str | None
    reward_cents: int
    equal_count: int
    """How many tasks of the period had this same reward, itself included."""


def dearest(candidates: Iterable[DearestTask], period: Period) -> DearestTask | None:
    """The dearest of the days' dearest tasks; among equals the earliest day, then the lower id."""
    inside = [task for task in candidates if task.business_date in period]
    if not inside:
        return None
    best = min(inside, key=lambda task: (-task.reward_cents, task.business_date, task.task_id))
    equals = sum(task.equal_count for task in inside if task.reward_cents == best.reward_cents)
    return DearestTask(best.business_date, best.task_id, best.title, best.jira_id, best.reward_cents, equals)
