"""The end of a business day: pay positive balances, carry debts, fix the figures, say the result.

One day is one transaction behind the exclusive lock of the ledger's state, and every id in it is derived
from the day. So a close that is killed leaves nothing, one that runs twice or in parallel finds the day
closed, and one that is run again writes the same rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from billing.commands.posting import entry_posted, write_postings
from billing.commands.rows import any_of, given, insert_rows
from billing.domain import (
    PAYOUTS,
    AccountKind,
    AccountState,
    AtClose,
    DayState,
    Entry,
    EntryKind,
    Figures,
    Posting,
    day_bounds,
    fact_id,
    is_due,
    payouts_due,
    post,
)
from billing.events import DayResult, DayResultV1, PayoutMade
from billing.models import accounts, day_figures, days, entries, ledger_state, letters, payouts, postings
from billing.settings import BillingSettings
from service_kit.context import clock, settings
from service_kit.database import Session
from service_kit.outbox import Outgoing, publish, publish_many

log = structlog.get_logger()


async def close_next_day(session: Session, *, unread: int = 0) -> date | None:
    """Close the first open day if it is due and answer its date; None when no day is due.

    `unread` is the number of events that the close no longer waits for; it stays on record.
    """
    own = settings(session, BillingSettings)
    now = clock(session).now()
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date).with_for_update())
    day = await _first_open_day(session, last_closed)
    if day is None or not is_due(day, own.zone, now, own.close_delay):
        return None
    day_start, day_end = day_bounds(day, own.zone)
    await session.execute(
        insert(days)
        .values(business_date=day, zone=own.business_time_zone, opened_at=day_start)
        .on_conflict_do_nothing()
    )
    moved = await _movements(session, day)
    if moved:
        await _pay(session, day, moved, paid_at=day_end, recorded_at=now)
    await _fix_figures(session, day, now, unread=unread, any_work=bool(moved))
    await session.execute(update(ledger_state).values(last_closed_date=day))
    log.info("day_closed", business_date=day.isoformat(), accounts_moved=len(moved), unread=unread)
    return day


async def _first_open_day(session: Session, last_closed: date | None) -> date | None:
    if last_closed is not None:
        return last_closed + timedelta(days=1)
    # Nothing was ever closed: the ledger begins with the first day on record.
    first: date | None = await session.scalar(select(func.min(days.c.business_date)))
    return first


async def _movements(session: Session, day: date) -> dict[UUID, int]:
    """How the day's entries moved each account they touched."""
    rows = await session.execute(
        select(postings.c.account_id, func.sum(postings.c.amount_cents))
        .where(postings.c.business_date == day)
        .group_by(postings.c.account_id)
    )
    return {account_id: int(moved) for account_id, moved in rows}


async def _pay(
    session: Session, day: date, moved: Mapping[UUID, int], *, paid_at: datetime, recorded_at: datetime
) -> None:
    """Post what is due to the accounts the day moved. The others carry a debt or nothing: no payout."""
    locked = await session.execute(
        select(accounts)
        .where(accounts.c.id == any_of({*moved, PAYOUTS}))
        .order_by(accounts.c.id)
        .with_for_update()
    )
    found: dict[UUID, RowMapping] = {row["id"]: row for row in locked.mappings()}
    due = payouts_due(
        day,
        [
            AtClose(account_id, row["carried_cents"], moved.get(account_id, 0))
            for account_id, row in found.items()
            if row["kind"] == AccountKind.WORKER
        ],
    )
    states = {
        account_id: AccountState(row["balance_cents"], row["version"]) for account_id, row in found.items()
    }
    written = post(due, states)
    if due:
        await _write_payouts(session, due, found, paid_at=paid_at, recorded_at=recorded_at)
        await write_postings(session, written)
    await _carry(session, found, moved, written)
    await publish_many(session, list(_payout_facts(due, written, paid_at)))


async def _write_payouts(
    session: Session,
    due: Sequence[Entry],
    owners: Mapping[UUID, RowMapping],
    *,
    paid_at: datetime,
    recorded_at: datetime,
) -> None:
    domain = settings(session, BillingSettings).letters_domain
    journal = [
        {
            "id": entry.id,
            "event_id": entry.id,
            "kind": str(entry.kind),
            "business_date": entry.business_date,
            "occurred_at": paid_at,
            "recorded_at": recorded_at,
            "late": False,
        }
        for entry in due
    ]
    paid = [
        {
            "id": entry.id,
            "account_id": entry.account_id,
            "business_date": entry.business_date,
            "amount_cents": entry.amount_cents,
            "paid_at": paid_at,
        }
        for entry in due
    ]
    queued = [
        {
            "payout_id": entry.id,
            "locale": owners[entry.account_id]["locale"],
            "message_id": f"<{entry.id}@{domain}>",
        }
        for entry in due
    ]
    await session.execute(insert_rows(entries, journal))
    await session.execute(insert_rows(payouts, paid))
    await session.execute(insert_rows(letters, queued))


async def _carry(
    session: Session, found: Mapping[UUID, RowMapping], moved: Mapping[UUID, int], written: Iterable[Posting]
) -> None:
    """Take each account's balance over the end of the day, payouts included."""
    carried = {
        account_id: row["carried_cents"] + moved.get(account_id, 0) for account_id, row in found.items()
    }
    for posting in written:
        carried[posting.account_id] += posting.amount_cents
    after = given(accounts, [{"id": key, "carried_cents": cents} for key, cents in carried.items()])
    await session.execute(
        update(accounts).where(accounts.c.id == after.c.id).values(carried_cents=after.c.carried_cents)
    )


def _payout_facts(due: Iterable[Entry], written: Sequence[Posting], paid_at: datetime) -> Iterable[Outgoing]:
    for entry, posting in zip(due, written[::2], strict=True):
        yield entry_posted(posting, EntryKind.PAYOUT, None, paid_at, late=False)
        fact = PayoutMade(
            payout_id=entry.id,
            user_guid=entry.account_id,
            amount_cents=entry.amount_cents,
            business_date=entry.business_date,
            paid_at=paid_at,
        )
        yield Outgoing((fact,), entry.account_id, paid_at, fact_id("PayoutMade", entry.id))


async def _fix_figures(session: Session, day: date, now: datetime, *, unread: int, any_work: bool) -> None:
    """Write the day's figures for good and say them, in both versions of the contract under one event id."""
    own = settings(session, BillingSettings)
    figures = await _figures(session, day) if any_work else Figures()
    opening = await session.scalar(
        select(days.c.closing_cents).where(days.c.business_date == day - timedelta(days=1))
    )
    debtors, debt = (
        await session.execute(
            select(func.count(), func.coalesce(-func.sum(accounts.c.carried_cents), 0)).where(
                accounts.c.kind == AccountKind.WORKER, accounts.c.carried_cents < 0
            )
        )
    ).one()
    debt = int(debt)
    await session.execute(
        update(days)
        .where(days.c.business_date == day)
        .values(
            state=DayState.CLOSED,
            closed_at=now,
            unread_at_close=unread,
            opening_cents=opening or 0,
            # Whoever had money was paid, so what remains of all balances is the debts.
            closing_cents=-debt,
            carried_debt_cents=debt,
            accounts_negative=debtors,
            fees_cents=figures.fees_cents,
            rewards_cents=figures.rewards_cents,
            payouts_cents=figures.payouts_cents,
            payout_count=figures.payout_count,
            late_count=figures.late_count,
            task_count_profit=figures.task_count_profit,
            task_count_deficit=figures.task_count_deficit,
            max_cost_cents=figures.max_cost_cents,
            max_cost_task_id=figures.max_cost_task_id,
        )
    )
    seed_form = DayResultV1(
        max_cost_task=figures.max_cost_cents,
        task_count_profit=figures.task_count_profit,
        task_count_deficit=figures.task_count_deficit,
        income=figures.income_cents,
    )
    full_form = DayResult(
        **seed_form.model_dump(),
        business_date=day,
        time_zone=own.business_time_zone,
        max_cost_task_id=figures.max_cost_task_id,
        fees_cents=figures.fees_cents,
        rewards_cents=figures.rewards_cents,
        payouts_cents=figures.payouts_cents,
        payout_count=figures.payout_count,
        carried_debt_cents=debt,
        accounts_negative=debtors,
        late_count=figures.late_count,
        closed_at=now,
    )
    await publish(
        session,
        seed_form,
        full_form,
        key=day.isoformat(),
        occurred_at=now,
        event_id=fact_id("DayResult", day),
    )


async def _figures(session: Session, day: date) -> Figures:
    row = await session.execute(select(day_figures).where(day_figures.c.business_date == day))
    found = dict(row.mappings().one())
    del found["business_date"]
    return Figures(**found)
