"""The end of a business day: pay positive balances, carry debts, fix the figures, say the result.

A day is one transaction behind the exclusive lock of the ledger's state, and every id in it is derived
from the day. So a close that is killed leaves nothing, one that runs twice or in parallel finds the day
closed, and one that is run again writes the same rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import RowMapping, func, select, update

from billing.commands.posting import entry_posted
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
    last_states,
    payouts_due,
    post,
)
from billing.events import DayResult, DayResultV1, EntryPosted, PayoutMade
from billing.models import accounts, day_figures, days, entries, ledger_state, letters, payouts, postings
from billing.settings import BillingSettings
from service_kit.context import clock, settings
from service_kit.database import Session
from service_kit.live.changes import announce
from service_kit.outbox import Outgoing, publish_many
from service_kit.rows import any_of, given, inserting, these

log = structlog.get_logger()

IDLE_DAYS_AT_ONCE = 366

EVERY_PAGE = ("books", "account:*")
"""What a night changes: the books and the account of everybody."""


async def close_due_days(session: Session, *, unread: int = 0) -> list[date]:
    """Close the first open day if it is due, or a whole run of due days without work; answers their dates.

    Call it until it answers none. `unread` is the number of events that the close no longer waits for; it
    stays on record.
    """
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date).with_for_update())
    due = await _due_days(session, last_closed)
    if not due:
        return []
    now = clock(session).now()
    moved = await _movements(session, due[0]) if len(due) == 1 else {}
    if moved:
        await _pay(session, due[0], moved, recorded_at=now)
    await _fix_figures(session, due, now, unread=unread, any_work=bool(moved))
    await session.execute(update(ledger_state).values(last_closed_date=due[-1]))
    # What comes late for these days counts on the next one, which is therefore on record.
    await _open(session, due[-1] + timedelta(days=1))
    await announce(session, EVERY_PAGE)
    log.info("days_closed", first=str(due[0]), last=str(due[-1]), accounts_moved=len(moved), unread=unread)
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


async def _due_days(session: Session, last_closed: date | None) -> list[date]:
    """The days to close now: one with work alone, days without any together."""
    own = settings(session, BillingSettings)
    now = clock(session).now()
    # When nothing was ever closed, the ledger begins with the first day on record.
    first = (
        last_closed + timedelta(days=1)
        if last_closed is not None
        else await session.scalar(select(func.min(days.c.business_date)))
    )
    if first is None:
        return []
    worked: date | None = await session.scalar(
        select(func.min(postings.c.business_date)).where(postings.c.business_date >= first)
    )
    run = [first]
    while len(run) < IDLE_DAYS_AT_ONCE and first != worked and run[-1] + timedelta(days=1) != worked:
        run.append(run[-1] + timedelta(days=1))
    return [day for day in run if is_due(day, own.zone, now, own.close_delay)]


async def _movements(session: Session, day: date) -> dict[UUID, int]:
    """How the day's entries moved each account they touched."""
    rows = await session.execute(
        select(postings.c.account_id, func.sum(postings.c.amount_cents))
        .where(postings.c.business_date == day)
        .group_by(postings.c.account_id)
    )
    return {account_id: int(moved) for account_id, moved in rows}


async def _pay(session: Session, day: date, moved: Mapping[UUID, int], *, recorded_at: datetime) -> None:
    """Post what is due to the accounts the day moved. The others carry a debt or nothing: no payout."""
    # The payout belongs to the moment the day ends, however long its close had to wait.
    paid_at = day_bounds(day, settings(session, BillingSettings).zone)[1]
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
        await _write_postings(session, written)
    await _settle_accounts(session, found, moved, written)
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
    await session.execute(inserting(entries, *journal[0]), these(journal))
    await session.execute(inserting(payouts, *paid[0]), these(paid))
    await session.execute(inserting(letters, *queued[0]), these(queued))


async def _write_postings(session: Session, written: Sequence[Posting]) -> None:
    # Field by field: `asdict` copies each value, which took longer than the database.
    rows = [
        {
            "account_id": posting.account_id,
            "version": posting.version,
            "entry_id": posting.entry_id,
            "business_date": posting.business_date,
            "amount_cents": posting.amount_cents,
            "balance_after_cents": posting.balance_after_cents,
        }
        for posting in written
    ]
    await session.execute(inserting(postings, *rows[0]), these(rows))


async def _settle_accounts(
    session: Session,
    found: Mapping[UUID, RowMapping],
    moved: Mapping[UUID, int],
    written: Sequence[Posting],
) -> None:
    """Leave balances where the payouts leave them, and take each over the end of the day."""
    carried = {
        account_id: row["carried_cents"] + moved.get(account_id, 0) for account_id, row in found.items()
    }
    for posting in written:
        carried[posting.account_id] += posting.amount_cents
    ends = last_states(written)
    rows = []
    for account_id, row in found.items():
        end = ends.get(account_id) or AccountState(row["balance_cents"], row["version"])
        rows.append(
            {
                "id": account_id,
                "balance_cents": end.balance_cents,
                "version": end.version,
                "carried_cents": carried[account_id],
            }
        )
    after = given(accounts, *rows[0])
    await session.execute(
        update(accounts)
        .where(accounts.c.id == after.c.id)
        .values({name: after.c[name] for name in ("balance_cents", "version", "carried_cents")}),
        these(rows),
    )


def _payout_facts(due: Iterable[Entry], written: Sequence[Posting], paid_at: datetime) -> Iterable[Outgoing]:
    for entry, posting in zip(due, written[::2], strict=True):
        yield entry_posted(
            EntryPosted(
                entry_id=entry.id,
                user_guid=entry.account_id,
                task_id=None,
                kind=EntryKind.PAYOUT.value,
                amount_cents=posting.amount_cents,
                balance_after_cents=posting.balance_after_cents,
                business_date=entry.business_date,
                late=False,
                occurred_at=paid_at,
            )
        )
        fact = PayoutMade(
            payout_id=entry.id,
            user_guid=entry.account_id,
            amount_cents=entry.amount_cents,
            business_date=entry.business_date,
            paid_at=paid_at,
        )
        yield Outgoing((fact,), entry.account_id, paid_at, fact_id("PayoutMade", entry.id))


async def _fix_figures(
    session: Session, closed: Sequence[date], now: datetime, *, unread: int, any_work: bool
) -> None:
    """Write the figures for good and say them, in both versions of the contract under one event id."""
    own = settings(session, BillingSettings)
    figures = await _figures(session, closed[0]) if any_work else Figures()
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
    results = [_day_result(day, figures, own, now, debt=int(debt), debtors=debtors) for day in closed]
    await publish_many(session, results)


def _day_result(
    day: date, figures: Figures, own: BillingSettings, now: datetime, *, debt: int, debtors: int
) -> Outgoing:
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
    return Outgoing((seed_form, full_form), day.isoformat(), now, fact_id("DayResult", day))


async def _figures(session: Session, day: date) -> Figures:
    row = await session.execute(select(day_figures).where(day_figures.c.business_date == day))
    found = dict(row.mappings().one())
    del found["business_date"]
    return Figures(**found)
