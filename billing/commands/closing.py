"""The end of a business day: pay positive balances, carry debts, fix the figures.

A day is cut off behind the exclusive lock of the ledger's state, which is held for a moment: from then on no
fact counts on it. Its accounts are settled afterwards, some thousand in a transaction and in the order of
their ids, while posting goes on; then the figures are fixed. What a part pays follows from the day's own
entries, and every id from the day. So a close that is killed goes on where it stopped, and one that runs
twice or in parallel finds done what is done. What a closed day says is said behind that (see
`commands.results`). Why in parts, and why a replay gives the same: decision 0025.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    Row,
    Subquery,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    select,
    text,
    update,
)

from billing.domain import (
    COMPANY,
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
from service_kit.database import Session, notify_after_commit
from service_kit.live.changes import announce
from service_kit.rows import inserting, these

log = structlog.get_logger(__name__)

IDLE_DAYS_AT_ONCE = 366
POSTINGS_AT_ONCE = 5_000
"""Of the day that is closed: whoever posts to one of their accounts waits for the part, some 0.2 s."""

LAST_ACCOUNT = UUID(int=2**128 - 1)

LETTERS_CHANNEL = "billing_letters"
"""Rung when payouts are to be told of in letters."""

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
    """Cut off the first open day if it is due, or close a whole run of due days without work; answers dates.

    A day that was cut off is closed by `settle_accounts`; until then there is no next one. Call both until
    there is nothing to do. `unread` is the number of events that the close no longer waits for; it stays on
    record. No day after `until` is closed.
    """
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date).with_for_update())
    if await _closing(session, last_closed) is not None:
        return []
    run, worked = await _due_days(session, last_closed)
    due = [day for day in run if until is None or day <= until]
    if not due:
        return []
    now = clock(session).now()
    cut = {"closed_at": now, "unread_at_close": unread}
    if worked:
        await _record(session, due, {"state": str(DayState.CLOSING), **cut})
    else:
        await _fix_figures(session, due, cut, Figures())
    await session.execute(update(ledger_state).values(last_closed_date=due[-1]))
    # What comes late for these days counts on the next one, which is therefore on record.
    await _open(session, due[-1] + timedelta(days=1))
    await announce(session, EVERY_PAGE)
    log.info("days_cut_off", first=str(due[0]), last=str(due[-1]), unread=unread)
    return due


async def settle_accounts(
    session: Session, *, through: UUID | None = None, at_once: int = POSTINGS_AT_ONCE
) -> bool:
    """Settle the next accounts of the day that was cut off, or fix its figures behind the last of them.

    Answers whether there may be more to do; call it until there is not. With `through`, accounts up to that
    one are settled and no more. `at_once` is how many postings of the day one part takes, about.
    """
    # Shared with whoever posts: who has to see the ledger at rest holds it alone.
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date).with_for_update(read=True))
    # Held: another process goes on where this part ends.
    closing = await _closing(session, last_closed)
    if closing is None:
        return False
    day, after, until = closing.business_date, closing.settled_through, through or LAST_ACCOUNT
    if through is not None and after is not None and after >= through:
        return False
    if after == LAST_ACCOUNT:
        # Not with the last part, whose accounts would be held meanwhile.
        cut = {"closed_at": closing.closed_at, "unread_at_close": closing.unread_at_close}
        await _fix_figures(session, [day], cut, await _figures(session, day))
        await announce(session, EVERY_PAGE)
        log.info("day_closed", business_date=str(day))
        return False
    # The way out moves with each payout, and is settled with it.
    ahead = (postings.c.business_date == day) & (postings.c.account_id != PAYOUTS)
    in_order = (
        select(postings.c.account_id)
        .where(ahead, _between(after, postings.c.account_id, until))
        .order_by(postings.c.account_id)
    )
    until = await session.scalar(in_order.offset(at_once).limit(1)) or until
    moved = (
        select(postings.c.account_id, cast(func.sum(postings.c.amount_cents), BigInteger).label("cents"))
        .where(ahead, _between(after, postings.c.account_id, until))
        .group_by(postings.c.account_id)
        .subquery()
    )
    # The second bound says nothing new, but lets the database read these accounts alone.
    await _settle(session, day, moved, _between(after, accounts.c.id, until))
    await session.execute(update(days).where(days.c.business_date == day).values(settled_through=until))
    return True


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


async def _closing(session: Session, day: date | None) -> Row[Any] | None:
    """The day that was cut off and is not settled yet, held. `day` is the last one that takes no facts."""
    found = await session.execute(
        select(days).where(days.c.business_date == day, days.c.state == DayState.CLOSING).with_for_update()
    )
    return found.one_or_none()


def _between(after: UUID | None, column: ColumnElement[UUID], until: UUID) -> ColumnElement[bool]:
    return column <= until if after is None else (column > after) & (column <= until)


async def _settle(session: Session, day: date, moved: Subquery, part: ColumnElement[bool]) -> None:
    """Post what is due to the accounts that the day moved. The others carry a debt or nothing: no payout."""
    own = settings(session, BillingSettings)
    # All of them are held, in the order of their ids, as whoever posts holds them.
    standing = await session.execute(
        select(accounts.c.id, accounts.c.carried_cents, moved.c.cents)
        .join(moved, moved.c.account_id == accounts.c.id)
        .where(part)
        .order_by(accounts.c.id)
        .with_for_update(of=accounts)
    )
    due = payouts_due(
        day,
        [AtClose(owner, carried, cents) for owner, carried, cents in standing if owner != COMPANY],
    )
    carried = accounts.c.carried_cents + moved.c.cents
    await session.execute(
        update(accounts)
        .where(
            part,
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
            "at_moment": clock(session).now(),
            "letters_domain": own.letters_domain,
            "payout_ids": [entry.id for entry in due],
            "owners": [entry.account_id for entry in due],
            "amounts": [entry.amount_cents for entry in due],
        },
    )
    if due:
        notify_after_commit(session, LETTERS_CHANNEL)


async def _fix_figures(
    session: Session, closed: Sequence[date], cut: Mapping[str, Any], figures: Figures
) -> None:
    """Write the figures for good, and note that they are to be said."""
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
        **cut,
        "state": str(DayState.CLOSED),
        "settled_through": None,
        "opening_cents": opening or 0,
        # Whoever had money was paid, so what remains of all balances is the debts.
        "closing_cents": -int(debt),
        "carried_debt_cents": int(debt),
        "accounts_negative": debtors,
    }
    await _record(session, closed, fixed)
    await session.execute(
        inserting(unsaid_days, "business_date"), these([{"business_date": day} for day in closed])
    )


async def _record(session: Session, dates: Sequence[date], values: Mapping[str, Any]) -> None:
    """Put days on record with these values, or give the values to those that are there."""
    own = settings(session, BillingSettings)
    zone = {"zone": own.business_time_zone}
    rows = [
        {"business_date": day, "opened_at": day_bounds(day, own.zone)[0], **zone, **values} for day in dates
    ]
    statement = inserting(days, *rows[0])
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["business_date"], set_={name: statement.excluded[name] for name in values}
        ),
        these(rows),
    )


async def _figures(session: Session, day: date) -> Figures:
    row = await session.execute(select(day_figures).where(day_figures.c.business_date == day))
    found = dict(row.mappings().one())
    del found["business_date"]
    return Figures(**found)
