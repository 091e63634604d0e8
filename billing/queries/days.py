"""Business days: closed ones as they were fixed, open ones as they stand this moment."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, select, tuple_

from billing.domain import AccountKind, DayState, DayUnknown, Figures, business_date, day_bounds, is_due
from billing.models import accounts, day_figures, days, entries, ledger_state, letters, payouts, postings
from billing.queries.accounts import EntryLine, entry_line, entry_lines
from billing.settings import BillingSettings
from service_kit.context import clock, settings
from service_kit.database import ReadSession
from service_kit.paging import Page, PageRequest
from service_kit.text import message as _


@dataclass(frozen=True, slots=True)
class DayFigures:
    business_date: date
    state: DayState
    zone: str
    closed_at: datetime | None
    unread_at_close: int
    opening_cents: int
    """Sum of all workers' balances when the day began; `closing_cents` when it ended, or now."""
    closing_cents: int
    fees_cents: int
    rewards_cents: int
    payouts_cents: int
    payout_count: int
    carried_debt_cents: int
    accounts_negative: int
    late_count: int
    task_count_profit: int
    task_count_deficit: int
    max_cost_cents: int | None
    max_cost_task_id: UUID | None

    @property
    def income_cents(self) -> int:
        """What top management earned (A5)."""
        return self.fees_cents - self.rewards_cents


@dataclass(frozen=True, slots=True)
class PayoutLine:
    id: UUID
    account_id: UUID
    business_date: date
    amount_cents: int
    paid_at: datetime
    letter: str
    """State of the letter: queued or written."""


@dataclass(frozen=True, slots=True)
class _Calendar:
    """Where the ledger stands in time."""

    today: date
    last_closed: date | None
    open_dates: Sequence[date]
    """Every date from the first open one to today, or to the newest that has work, in order."""


async def next_due_day(session: ReadSession) -> date | None:
    """The first day that still takes facts, if it may be closed by now."""
    own = settings(session, BillingSettings)
    now = clock(session).now()
    first: date | None = await session.scalar(select(func.min(days.c.business_date)))
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date))
    day = first if last_closed is None else last_closed + timedelta(days=1)
    return day if day is not None and is_due(day, own.zone, now, own.close_delay) else None


async def day_of(session: ReadSession, day: date) -> DayFigures:
    """One day. Raises `DayUnknown` for a date before the ledger began or after today."""
    closed = (await session.execute(_closed_days().where(days.c.business_date == day))).one_or_none()
    if closed is not None:
        return _closed_day(*closed)
    calendar = await _calendar_with(session, day)
    return (await _open_days(session, calendar))[calendar.open_dates.index(day)]


async def days_backwards(session: ReadSession, page: PageRequest) -> Page[DayFigures]:
    """List days, today first."""
    after = page.after(date)
    calendar = await _calendar(session)
    # Behind the last page of open days nothing is added up any more.
    with_open = after is None or any(day < after[0] for day in calendar.open_dates)
    found = [
        day
        for day in reversed(await _open_days(session, calendar) if with_open else ())
        if after is None or day.business_date < after[0]
    ][: page.limit + 1]
    missing = page.limit + 1 - len(found)
    if missing > 0:
        statement = _closed_days().order_by(days.c.business_date.desc()).limit(missing)
        if after is not None:
            statement = statement.where(days.c.business_date < after[0])
        found += [_closed_day(*row) for row in await session.execute(statement)]
    return page.page(found, lambda day: (day.business_date,))


async def payouts_of(session: ReadSession, day: date, page: PageRequest) -> Page[PayoutLine]:
    """List a day's payouts, the largest first. Raises `DayUnknown`."""
    state = await session.scalar(select(days.c.state).where(days.c.business_date == day))
    if state != DayState.CLOSED:
        await _calendar_with(session, day)
    statement = (
        select(
            payouts.c.id,
            payouts.c.account_id,
            payouts.c.business_date,
            payouts.c.amount_cents,
            payouts.c.paid_at,
            letters.c.state,
        )
        .join(letters, letters.c.payout_id == payouts.c.id)
        .where(payouts.c.business_date == day)
        .order_by(payouts.c.amount_cents.desc(), payouts.c.id.desc())
        .limit(page.limit + 1)
    )
    if (after := page.after(int, UUID)) is not None:
        statement = statement.where(tuple_(payouts.c.amount_cents, payouts.c.id) < after)
    rows = [PayoutLine(*row) for row in await session.execute(statement)]
    return page.page(rows, lambda row: (row.amount_cents, row.id))


async def late_entries(session: ReadSession, day: date, limit: int = 100) -> list[EntryLine]:
    """Entries that count on `day` though they happened on a day that was closed by then (R8)."""
    statement = (
        entry_lines()
        .join(accounts, accounts.c.id == postings.c.account_id)
        .where(entries.c.business_date == day, entries.c.late, accounts.c.kind == AccountKind.WORKER)
        .order_by(entries.c.occurred_at)
        .limit(limit)
    )
    return [entry_line(*row) for row in await session.execute(statement)]


async def _calendar(session: ReadSession) -> _Calendar:
    own = settings(session, BillingSettings)
    today = business_date(clock(session).now(), own.zone)
    # A day that is just being closed still stands as the entries say, as an open one does.
    closed, day = days.c.state == DayState.CLOSED, days.c.business_date
    last_closed, first, newest = (
        await session.execute(
            select(func.max(day).filter(closed), func.min(day).filter(~closed), func.max(day).filter(~closed))
        )
    ).one()
    start = last_closed + timedelta(days=1) if last_closed is not None else min(first or today, today)
    end = max(today, newest or today)
    return _Calendar(today, last_closed, [start + timedelta(days=n) for n in range((end - start).days + 1)])


async def _calendar_with(session: ReadSession, day: date) -> _Calendar:
    """The calendar, when `day` is one of its open dates. Raises `DayUnknown`."""
    calendar = await _calendar(session)
    if day not in calendar.open_dates:
        raise DayUnknown(_("The ledger has no such day."))
    return calendar


async def _open_days(session: ReadSession, calendar: _Calendar) -> list[DayFigures]:
    """All open days in order, each carrying on from the one before."""
    if not calendar.open_dates:
        return []
    own = settings(session, BillingSettings)
    now = clock(session).now()
    worked = await session.execute(
        select(day_figures).where(day_figures.c.business_date >= calendar.open_dates[0])
    )
    figures: dict[date, Figures] = {}
    for row in worked.mappings():
        values = dict(row)
        day = values.pop("business_date")
        figures[day] = Figures(**values)
    debtors, debt = (
        await session.execute(
            select(func.count(), func.coalesce(-func.sum(accounts.c.balance_cents), 0)).where(
                accounts.c.kind == AccountKind.WORKER, accounts.c.balance_cents < 0
            )
        )
    ).one()
    balance = 0
    if calendar.last_closed is not None:
        balance = (
            await session.scalar(
                select(days.c.closing_cents).where(days.c.business_date == calendar.last_closed)
            )
            or 0
        )
    found = []
    for day in calendar.open_dates:
        moved = figures.get(day, Figures())
        opening = balance
        balance += moved.rewards_cents - moved.fees_cents - moved.payouts_cents
        found.append(
            DayFigures(
                business_date=day,
                state=_state(day, own.zone, now),
                zone=own.business_time_zone,
                closed_at=None,
                unread_at_close=0,
                opening_cents=opening,
                closing_cents=balance,
                fees_cents=moved.fees_cents,
                rewards_cents=moved.rewards_cents,
                payouts_cents=moved.payouts_cents,
                payout_count=moved.payout_count,
                carried_debt_cents=int(debt),
                accounts_negative=debtors,
                late_count=moved.late_count,
                task_count_profit=moved.task_count_profit,
                task_count_deficit=moved.task_count_deficit,
                max_cost_cents=moved.max_cost_cents,
                max_cost_task_id=moved.max_cost_task_id,
            )
        )
    return found


def _state(day: date, zone: ZoneInfo, now: datetime) -> DayState:
    return DayState.CLOSING if day_bounds(day, zone)[1] <= now else DayState.OPEN


def _closed_days() -> Select[tuple[object, ...]]:
    columns = (days.c[field.name] for field in fields(DayFigures))
    return select(*columns).where(days.c.state == DayState.CLOSED)


def _closed_day(*columns: object) -> DayFigures:
    return DayFigures(*columns)  # type: ignore[arg-type]  # typed by the table
