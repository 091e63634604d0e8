"""The end of a business day: pay positive balances, carry debts, fix the figures.

A day is one transaction behind the exclusive lock of the ledger's state, and every id in it is derived
from the day. So a close that is killed leaves nothing, one that runs twice or in parallel finds the day
closed, and one that is run again writes the same rows. What a closed day says is said afterwards, when the
lock is gone (see `commands.results`).
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta

import structlog
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Date,
    DateTime,
    Text,
    Uuid,
    bindparam,
    func,
    select,
    text,
    update,
)

from billing.domain import (
    PAYOUTS,
    AccountKind,
    AtClose,
    DayState,
    Figures,
    day_bounds,
    is_due,
    payouts_due,
)
from billing.models import accounts, day_figures, days, ledger_state, postings, unsaid_days
from billing.settings import BillingSettings
from service_kit.context import clock, settings
from service_kit.database import Session
from service_kit.live.changes import announce
from service_kit.rows import inserting, these

log = structlog.get_logger()

IDLE_DAYS_AT_ONCE = 366

EVERY_PAGE = ("books", "account:*")
"""What a night changes: the books and the account of everybody."""

PAY_OUT = text(
    "select pay_out(:day, :way_out, :paid_at, :at_moment, :letters_domain, :payout_ids, :owners, :amounts)"
).bindparams(
    bindparam("day", type_=Date),
    bindparam("way_out", type_=Uuid),
    bindparam("paid_at", type_=DateTime(timezone=True)),
    bindparam("at_moment", type_=DateTime(timezone=True)),
    bindparam("letters_domain", type_=Text),
    bindparam("payout_ids", type_=ARRAY(Uuid)),
    bindparam("owners", type_=ARRAY(Uuid)),
    bindparam("amounts", type_=ARRAY(BigInteger)),
)


async def close_due_days(session: Session, *, unread: int = 0, until: date | None = None) -> list[date]:
    """Close the first open day if it is due, or a whole run of due days without work; answers their dates.

    Call it until it answers none. `unread` is the number of events that the close no longer waits for; it
    stays on record. No day after `until` is closed.
    """
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date).with_for_update())
    run, worked = await _due_days(session, last_closed)
    due = [day for day in run if until is None or day <= until]
    if not due:
        return []
    now = clock(session).now()
    if worked:
        await _pay(session, due[0], recorded_at=now)
    await _fix_figures(session, due, now, unread=unread, worked=worked)
    await session.execute(update(ledger_state).values(last_closed_date=due[-1]))
    # What comes late for these days counts on the next one, which is therefore on record.
    await _open(session, due[-1] + timedelta(days=1))
    await announce(session, EVERY_PAGE)
    log.info("days_closed", first=str(due[0]), last=str(due[-1]), unread=unread)
    return due


async def open_day(session: Session, day: date) -> None:
    """Put a day on record before there is work; the ledger begins with the first day that is."""
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date).with_for_update(read=True))
    if last_closed is None or day > last_closed:
        await _open(session, day)
        # What was earned today begins at zero again.
        await announce(session, EVERY_PAGE)


async def _open(session: Session, day: date) -> None:
    own = settings(session, BillingSettings)
    row = {"business_date": day, "zone": own.business_time_zone, "opened_at": day_bounds(day, own.zone)[0]}
    await session.execute(inserting(days, *row).on_conflict_do_nothing(), these([row]))


async def _due_days(session: Session, last_closed: date | None) -> tuple[list[date], bool]:
    """The days to close now, and whether there was work: a day with it alone, days without any together."""
    own = settings(session, BillingSettings)
    now = clock(session).now()
    # When nothing was ever closed, the ledger begins with the first day on record.
    first = (
        last_closed + timedelta(days=1)
        if last_closed is not None
        else await session.scalar(select(func.min(days.c.business_date)))
    )
    if first is None:
        return [], False
    worked: date | None = await session.scalar(
        select(func.min(postings.c.business_date)).where(postings.c.business_date >= first)
    )
    run = [first]
    while len(run) < IDLE_DAYS_AT_ONCE and first != worked and run[-1] + timedelta(days=1) != worked:
        run.append(run[-1] + timedelta(days=1))
    return [day for day in run if is_due(day, own.zone, now, own.close_delay)], first == worked


async def _pay(session: Session, day: date, *, recorded_at: datetime) -> None:
    """Post what is due to the accounts the day moved. The others carry a debt or nothing: no payout."""
    own = settings(session, BillingSettings)
    moved = (
        select(postings.c.account_id, func.sum(postings.c.amount_cents).label("cents"))
        .where(postings.c.business_date == day)
        .group_by(postings.c.account_id)
        .subquery()
    )
    standing = await session.execute(
        select(accounts.c.id, accounts.c.carried_cents, moved.c.cents)
        .join(moved, moved.c.account_id == accounts.c.id)
        .where(accounts.c.kind == AccountKind.WORKER)
    )
    due = payouts_due(day, [AtClose(owner, carried, int(cents)) for owner, carried, cents in standing])
    carried = accounts.c.carried_cents + moved.c.cents
    await session.execute(
        update(accounts)
        .where(
            accounts.c.id == moved.c.account_id,
            # Whoever is paid is settled with the payout.
            (accounts.c.kind != AccountKind.WORKER) | (carried <= 0),
        )
        .values(carried_cents=carried)
    )
    await session.execute(
        PAY_OUT,
        {
            "day": day,
            "way_out": PAYOUTS,
            # The payout belongs to the moment the day ends, however long its close had to wait.
            "paid_at": day_bounds(day, own.zone)[1],
            "at_moment": recorded_at,
            "letters_domain": own.letters_domain,
            "payout_ids": [entry.id for entry in due],
            "owners": [entry.account_id for entry in due],
            "amounts": [entry.amount_cents for entry in due],
        },
    )


async def _fix_figures(
    session: Session, closed: Sequence[date], now: datetime, *, unread: int, worked: bool
) -> None:
    """Write the figures for good, and note that they are to be said."""
    own = settings(session, BillingSettings)
    figures = await _figures(session, closed[0]) if worked else Figures()
    opening = await session.scalar(
        select(days.c.closing_cents).where(days.c.business_date == closed[0] - timedelta(days=1))
    )
    debtors, debt = (
        await session.execute(
            select(func.count(), func.coalesce(-func.sum(accounts.c.carried_cents), 0)).where(
                accounts.c.kind == AccountKind.WORKER, accounts.c.carried_cents < 0
            )
        )
    ).one()
    fixed = {
        **asdict(figures),
        "state": str(DayState.CLOSED),
        "closed_at": now,
        "unread_at_close": unread,
        "opening_cents": opening or 0,
        # Whoever had money was paid, so what remains of all balances is the debts.
        "closing_cents": -int(debt),
        "carried_debt_cents": int(debt),
        "accounts_negative": debtors,
    }
    zone = {"zone": own.business_time_zone}
    rows = [
        {"business_date": day, "opened_at": day_bounds(day, own.zone)[0], **zone, **fixed} for day in closed
    ]
    statement = inserting(days, *rows[0])
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["business_date"], set_={name: statement.excluded[name] for name in fixed}
        ),
        these(rows),
    )
    await session.execute(
        inserting(unsaid_days, "business_date"), these([{"business_date": day} for day in closed])
    )


async def _figures(session: Session, day: date) -> Figures:
    row = await session.execute(select(day_figures).where(day_figures.c.business_date == day))
    found = dict(row.mappings().one())
    del found["business_date"]
    return Figures(**found)
