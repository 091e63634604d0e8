"""Facts about tasks become prices and postings, a whole batch with a handful of statements.

Locks are always taken in the same order: the ledger's state (shared, so that no day closes meanwhile),
titles, prices, then accounts by id. The company takes part in every entry, so holding its row puts all
posters in line.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select, update

from billing.commands.rows import any_of, given, insert_rows
from billing.domain import (
    COMPANY,
    AccountKind,
    AccountState,
    ContradictingFact,
    Entry,
    EntryKind,
    Posting,
    Price,
    business_date,
    day_bounds,
    entry_id,
    fact_id,
    last_states,
    post,
    posting_date,
    price_task,
)
from billing.events import EntryPosted, TaskAssigned, TaskCompleted, TaskCreated, TaskFact, TaskUpdated
from billing.models import accounts, days, entries, ledger_state, postings, prices, titles
from billing.settings import BillingSettings
from service_kit.context import clock, settings
from service_kit.database import Session
from service_kit.events import Received
from service_kit.outbox import Outgoing, publish_many
from service_kit.text import message as _


@dataclass(frozen=True, slots=True)
class _Move:
    """An assignment or a completion: one fact that moves money."""

    cause: Received[TaskFact]
    kind: EntryKind
    task_id: UUID
    cycle: int
    worker: UUID
    occurred_at: datetime


async def post_task_facts(session: Session, facts: Sequence[Received[TaskFact]]) -> None:
    """Price tasks when first heard of (R4), charge every assignment (R1, R2), reward every completion.

    Raises `ContradictingFact` when another event already charged the cycle or rewarded the task.
    """
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date).with_for_update(read=True))
    now = clock(session).now()
    await _keep_titles(session, [fact.data for fact in facts])
    price_of = await _price(session, {fact.data.task_id for fact in facts}, now)
    moves = [move for fact in facts if (move := _move_of(fact)) is not None]
    if not moves:
        return
    states = await _lock_accounts(session, {move.worker for move in moves}, now)
    await _refuse_contradictions(session, moves)
    dated = [_dated(move, session, last_closed) for move in moves]
    posted = [
        Entry(
            id=entry_id(move.cause.event_id),
            kind=move.kind,
            account_id=move.worker,
            amount_cents=price_of[move.task_id].of(move.kind),
            business_date=day,
        )
        for move, (day, _late) in zip(moves, dated, strict=True)
    ]
    written = post(posted, states)
    await _open_days(session, {entry.business_date for entry in posted})
    await session.execute(
        insert_rows(
            entries,
            [
                {
                    "id": entry.id,
                    "event_id": move.cause.event_id,
                    "kind": str(move.kind),
                    "task_id": move.task_id,
                    "cycle": move.cycle,
                    "business_date": day,
                    "occurred_at": move.occurred_at,
                    "recorded_at": now,
                    "late": late,
                }
                for entry, move, (day, late) in zip(posted, moves, dated, strict=True)
            ],
        )
    )
    await write_postings(session, written)
    await publish_many(
        session,
        [
            entry_posted(posting, move.kind, move.task_id, move.occurred_at, late=late, cause=move.cause)
            for posting, move, (_day, late) in zip(written[::2], moves, dated, strict=True)
        ],
    )


async def write_postings(session: Session, written: Sequence[Posting]) -> None:
    """Add the postings and move the accounts' cached balances to where the postings leave them."""
    await session.execute(
        insert_rows(
            postings,
            [
                {
                    "account_id": posting.account_id,
                    "version": posting.version,
                    "entry_id": posting.entry_id,
                    "business_date": posting.business_date,
                    "amount_cents": posting.amount_cents,
                    "balance_after_cents": posting.balance_after_cents,
                }
                for posting in written
            ],
        )
    )
    after = given(
        accounts,
        [
            {"id": account_id, "balance_cents": state.balance_cents, "version": state.version}
            for account_id, state in last_states(written).items()
        ],
    )
    await session.execute(
        update(accounts)
        .where(accounts.c.id == after.c.id)
        .values(balance_cents=after.c.balance_cents, version=after.c.version)
    )


def entry_posted(
    posting: Posting,
    kind: EntryKind,
    task_id: UUID | None,
    occurred_at: datetime,
    *,
    late: bool,
    cause: Received[TaskFact] | None = None,
) -> Outgoing:
    """Tell of an entry from the worker's view. The event id is derived: a replay says the same fact again."""
    fact = EntryPosted(
        entry_id=posting.entry_id,
        user_guid=posting.account_id,
        task_id=task_id,
        kind=kind.value,
        amount_cents=posting.amount_cents,
        balance_after_cents=posting.balance_after_cents,
        business_date=posting.business_date,
        late=late,
        occurred_at=occurred_at,
    )
    return Outgoing(
        facts=(fact,),
        key=posting.account_id,
        occurred_at=occurred_at,
        event_id=fact_id("EntryPosted", posting.entry_id),
        cause=cause,
    )


def _move_of(fact: Received[TaskFact]) -> _Move | None:
    match fact.data:
        case TaskAssigned() as data:
            kind, moment = EntryKind.FEE, data.assigned_at
        case TaskCompleted() as data:
            kind, moment = EntryKind.REWARD, data.completed_at
        case _:
            return None
    return _Move(fact, kind, data.task_id, data.cycle, data.user_guid, moment)


def _dated(move: _Move, session: Session, last_closed: date | None) -> tuple[date, bool]:
    zone = settings(session, BillingSettings).zone
    return posting_date(business_date(move.occurred_at, zone), last_closed)


async def _keep_titles(session: Session, facts: Iterable[TaskFact]) -> None:
    newest: dict[UUID, dict[str, object]] = {}
    for fact in facts:
        match fact:
            case TaskCreated():
                moment = fact.created_at
            case TaskUpdated():
                moment = fact.updated_at
            case _:
                continue
        newest[fact.task_id] = {
            "task_id": fact.task_id,
            "title": fact.title,
            "jira_id": fact.jira_id,
            "updated_at": moment,
        }
    if not newest:
        return
    statement = insert_rows(titles, [newest[task_id] for task_id in sorted(newest)])
    new = statement.excluded
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["task_id"],
            set_={"title": new.title, "jira_id": new.jira_id, "updated_at": new.updated_at},
            where=titles.c.updated_at <= new.updated_at,
        )
    )


async def _price(session: Session, task_ids: Collection[UUID], now: datetime) -> dict[UUID, Price]:
    """Price what has no price yet. A price on record stands, whatever the key says today."""
    found = select(prices).where(prices.c.task_id == any_of(task_ids))
    known = {row.task_id: Price(row.fee_cents, row.reward_cents) for row in await session.execute(found)}
    missing = sorted(set(task_ids) - known.keys())
    if not missing:
        return known
    key = settings(session, BillingSettings).price_key.get_secret_value().encode()
    drawn = {task_id: price_task(task_id, key) for task_id in missing}
    rows = [
        {
            "task_id": task_id,
            "fee_cents": price.fee_cents,
            "reward_cents": price.reward_cents,
            "priced_at": now,
        }
        for task_id, price in drawn.items()
    ]
    added = await session.execute(
        insert_rows(prices, rows).on_conflict_do_nothing().returning(prices.c.task_id)
    )
    if len(added.all()) < len(missing):
        # Somebody else priced some of them meanwhile, perhaps with another key; what is on record counts.
        drawn |= {row.task_id: Price(row.fee_cents, row.reward_cents) for row in await session.execute(found)}
    return known | drawn


async def _lock_accounts(
    session: Session, workers: Collection[UUID], now: datetime
) -> dict[UUID, AccountState]:
    """Open missing accounts, then lock the workers' and the company's in the order of their ids.

    A row that does not exist cannot be locked, and one must not be made while others are held: two posters
    with the same new worker would wait for each other.
    """
    new = [{"id": owner, "kind": str(AccountKind.WORKER), "opened_at": now} for owner in sorted(workers)]
    await session.execute(insert_rows(accounts, new).on_conflict_do_nothing())
    locked = await session.execute(
        select(accounts.c.id, accounts.c.balance_cents, accounts.c.version)
        .where(accounts.c.id == any_of({*workers, COMPANY}))
        .order_by(accounts.c.id)
        .with_for_update()
    )
    return {row.id: AccountState(row.balance_cents, row.version) for row in locked}


async def _refuse_contradictions(session: Session, moves: Sequence[_Move]) -> None:
    """Refuse a second fee of a cycle and a second reward of a task.

    Whoever posts holds the company's account, so nobody can add one between this look and our insert.
    """
    known = await session.execute(
        select(entries.c.kind, entries.c.task_id, entries.c.cycle).where(
            entries.c.task_id == any_of({move.task_id for move in moves})
        )
    )
    seen = {_slot(EntryKind(row.kind), row.task_id, row.cycle) for row in known}
    for move in moves:
        slot = _slot(move.kind, move.task_id, move.cycle)
        if slot in seen:
            raise ContradictingFact(
                _(
                    "Task {task} already has its {kind} of cycle {cycle} in the journal.",
                    task=move.task_id,
                    kind=move.kind,
                    cycle=move.cycle,
                )
            )
        seen.add(slot)


def _slot(kind: EntryKind, task_id: UUID, cycle: int) -> tuple[EntryKind, UUID, int | None]:
    return kind, task_id, cycle if kind is EntryKind.FEE else None


async def _open_days(session: Session, dates: Collection[date]) -> None:
    """Put days on record that now have work; the first moment of a day opened it."""
    own = settings(session, BillingSettings)
    rows = [
        {"business_date": day, "zone": own.business_time_zone, "opened_at": day_bounds(day, own.zone)[0]}
        for day in sorted(dates)
    ]
    await session.execute(insert_rows(days, rows).on_conflict_do_nothing())
