"""What closed days say: each payout, then the day's result. Afterwards, in parts: nobody waits for it.

Every fact follows from rows that never change any more, and its id from what it tells of. So a part that is
said again, because the process ended before the commit, is the same facts again.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from sqlalchemy import Row, delete, select, tuple_, update

from billing.domain import EntryKind, fact_id
from billing.events import DayResult, DayResultV1, EntryPosted, PayoutMade
from billing.models import days, payouts, postings, unsaid_days
from service_kit.database import Session
from service_kit.outbox import Outgoing, publish_many

DAYS_AT_ONCE = 366
PAYOUTS_AT_ONCE = 1_000


async def say_closed_days(session: Session) -> bool:
    """Say the next part of what closed days have to say; answers whether there was anything.

    Call it until there is not. The result of a day comes after all of its payouts.
    """
    # In their order, and held: another worker goes on where this one ends.
    unsaid = (
        await session.execute(
            select(unsaid_days).order_by(unsaid_days.c.business_date).limit(DAYS_AT_ONCE).with_for_update()
        )
    ).all()
    if not unsaid:
        return False
    dates = [row.business_date for row in unsaid]
    paid = await _payouts(session, unsaid)
    said_through = None
    if len(paid) == PAYOUTS_AT_ONCE:
        # There may be more of the last one's day, and nothing is said of the days after it.
        said_through = paid[-1]
        dates = [day for day in dates if day < said_through.business_date]
    results = {row.business_date: row for row in await _closed(session, dates)} if dates else {}
    await publish_many(session, list(_facts(dates, paid, results)))
    await session.execute(delete(unsaid_days).where(unsaid_days.c.business_date.in_(dates)))
    if said_through is not None:
        await session.execute(
            update(unsaid_days)
            .where(unsaid_days.c.business_date == said_through.business_date)
            .values(said_through=said_through.account_id)
        )
    return True


async def _payouts(session: Session, unsaid: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """The next payouts of these days, by day and account, with what they left on the account."""
    first, last = unsaid[0], unsaid[-1]
    statement = (
        select(payouts, postings.c.balance_after_cents)
        .join(
            postings,
            (postings.c.entry_id == payouts.c.id) & (postings.c.account_id == payouts.c.account_id),
        )
        .where(payouts.c.business_date.between(first.business_date, last.business_date))
        .order_by(payouts.c.business_date, payouts.c.account_id)
        .limit(PAYOUTS_AT_ONCE)
    )
    if first.said_through is not None:
        place = (first.business_date, first.said_through)
        statement = statement.where(tuple_(payouts.c.business_date, payouts.c.account_id) > place)
    return (await session.execute(statement)).all()


async def _closed(session: Session, dates: Sequence[date]) -> Sequence[Row[Any]]:
    return (await session.execute(select(days).where(days.c.business_date.in_(dates)))).all()


def _facts(
    dates: Iterable[date], paid: Iterable[Row[Any]], results: dict[date, Row[Any]]
) -> Iterator[Outgoing]:
    """Day by day: its payouts as far as they are given, and its result if it is."""
    by_day = {day: list(rows) for day, rows in groupby(paid, key=lambda row: row.business_date)}
    for day in sorted(by_day.keys() | set(dates)):
        for row in by_day.get(day, ()):
            yield from _payout_facts(row)
        if day in results:
            yield _day_result(results[day])


def _payout_facts(paid: Row[Any]) -> Iterator[Outgoing]:
    entry = EntryPosted(
        entry_id=paid.id,
        user_guid=paid.account_id,
        task_id=None,
        kind=EntryKind.PAYOUT.value,
        amount_cents=-paid.amount_cents,
        balance_after_cents=paid.balance_after_cents,
        business_date=paid.business_date,
        late=False,
        occurred_at=paid.paid_at,
    )
    yield Outgoing((entry,), paid.account_id, paid.paid_at, fact_id("EntryPosted", paid.id))
    payout = PayoutMade(
        payout_id=paid.id,
        user_guid=paid.account_id,
        amount_cents=paid.amount_cents,
        business_date=paid.business_date,
        paid_at=paid.paid_at,
    )
    yield Outgoing((payout,), paid.account_id, paid.paid_at, fact_id("PayoutMade", paid.id))


def _day_result(day: Row[Any]) -> Outgoing:
    """Both versions of the contract under one event id."""
    seed_form = DayResultV1(
        max_cost_task=day.max_cost_cents,
        task_count_profit=day.task_count_profit,
        task_count_deficit=day.task_count_deficit,
        income=day.fees_cents - day.rewards_cents,
    )
    full_form = DayResult(
        **seed_form.model_dump(),
        business_date=day.business_date,
        time_zone=day.zone,
        max_cost_task_id=day.max_cost_task_id,
        fees_cents=day.fees_cents,
        rewards_cents=day.rewards_cents,
        payouts_cents=day.payouts_cents,
        payout_count=day.payout_count,
        carried_debt_cents=day.carried_debt_cents,
        accounts_negative=day.accounts_negative,
        late_count=day.late_count,
        closed_at=day.closed_at,
    )
    return Outgoing(
        (seed_form, full_form),
        day.business_date.isoformat(),
        day.closed_at,
        fact_id("DayResult", day.business_date),
    )
