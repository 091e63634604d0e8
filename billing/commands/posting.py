"""Facts about tasks become prices and postings, a whole batch with a handful of statements.

Locks are always taken in the same order: titles, prices, then inside of the database's own function the
ledger's state (shared, so that no day closes meanwhile) and accounts by id. The company takes part in every
entry, so holding its row puts all posters in line. Why a function posts: decision 0011.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Date, DateTime, Integer, Row, Text, Uuid, bindparam, text
from sqlalchemy.exc import IntegrityError

from billing.domain import (
    COMPANY,
    ContradictingFact,
    EntryKind,
    Price,
    business_date,
    day_bounds,
    entry_id,
    fact_id,
    price_task,
)
from billing.events import (
    EntryPosted,
    TaskAssigned,
    TaskCompleted,
    TaskCreated,
    TaskFact,
    TaskPriced,
    TaskUpdated,
)
from billing.models import prices, titles
from billing.settings import BillingSettings
from service_kit.context import clock, settings
from service_kit.database import Session
from service_kit.events import Received
from service_kit.live.changes import announce
from service_kit.outbox import Outgoing, publish_many
from service_kit.rows import inserting, these
from service_kit.text import message as _

_GIVEN_TITLES = inserting(titles, "task_id", "title", "jira_id", "updated_at")
KEEP_TITLES = _GIVEN_TITLES.on_conflict_do_update(
    index_elements=["task_id"],
    set_={name: _GIVEN_TITLES.excluded[name] for name in ("title", "jira_id", "updated_at")},
    where=titles.c.updated_at <= _GIVEN_TITLES.excluded.updated_at,
)

FIX_PRICES = (
    inserting(prices, "task_id", "fee_cents", "reward_cents", "priced_at")
    .on_conflict_do_nothing()
    .returning(prices.c.task_id)
)

ONCE = {"uq_journal_entries_fee", "uq_journal_entries_reward"}
"""A cycle of a task is charged once and a task is rewarded once, whatever ids the events carry."""

POST_ENTRIES = text(
    "select entry, amount, balance_after, posted_on, came_late from post_entries("
    ":company, :at_moment, :event_ids, :entry_ids, :kinds, :task_ids, :cycles, :workers,"
    " :moments, :own_dates, :day_zone, :day_dates, :day_starts)"
).bindparams(
    bindparam("company", type_=Uuid),
    bindparam("at_moment", type_=DateTime(timezone=True)),
    bindparam("event_ids", type_=ARRAY(Uuid)),
    bindparam("entry_ids", type_=ARRAY(Uuid)),
    bindparam("kinds", type_=ARRAY(Text)),
    bindparam("task_ids", type_=ARRAY(Uuid)),
    bindparam("cycles", type_=ARRAY(Integer)),
    bindparam("workers", type_=ARRAY(Uuid)),
    bindparam("moments", type_=ARRAY(DateTime(timezone=True))),
    bindparam("own_dates", type_=ARRAY(Date)),
    bindparam("day_zone", type_=Text),
    bindparam("day_dates", type_=ARRAY(Date)),
    bindparam("day_starts", type_=ARRAY(DateTime(timezone=True))),
)


class _Move(NamedTuple):
    """An assignment or a completion: one fact that moves money."""

    cause: Received[TaskFact]
    kind: EntryKind
    task_id: UUID
    cycle: int
    worker: UUID
    occurred_at: datetime


async def post_task_facts(
    session: Session, facts: Sequence[Received[TaskFact]], *, said_before: bool = False
) -> None:
    """Price tasks when first heard of (R4), charge every assignment (R1, R2), reward every completion.

    Nothing is said of what was `said_before`: a replay writes the same entries again, beside the live ones.
    Raises `ContradictingFact` when another event already charged the cycle or rewarded the task.
    """
    if not facts:
        return
    await _keep_titles(session, [fact.data for fact in facts])
    priced = await _price(session, facts)
    moves = [move for fact in facts if (move := _move_of(fact)) is not None]
    posted = await _post(session, moves) if moves else iter(())
    if said_before:
        return
    await publish_many(session, [*priced, *posted])
    if moves:
        await announce(session, ["books", *(f"account:{move.worker}" for move in moves)])


async def _post(session: Session, moves: Sequence[_Move]) -> Iterator[Outgoing]:
    """Post the moves; answers what to say of them."""
    own = settings(session, BillingSettings)
    dates = [business_date(move.occurred_at, own.zone) for move in moves]
    days = sorted(set(dates))
    try:
        found = await session.execute(
            POST_ENTRIES,
            {
                "company": COMPANY,
                "at_moment": clock(session).now(),
                "event_ids": [move.cause.event_id for move in moves],
                "entry_ids": [entry_id(move.cause.event_id) for move in moves],
                "kinds": [move.kind.value for move in moves],
                "task_ids": [move.task_id for move in moves],
                "cycles": [move.cycle for move in moves],
                "workers": [move.worker for move in moves],
                "moments": [move.occurred_at for move in moves],
                "own_dates": dates,
                "day_zone": own.business_time_zone,
                "day_dates": days,
                "day_starts": [day_bounds(day, own.zone)[0] for day in days],
            },
        )
    except IntegrityError as error:
        raise _contradiction(error) or error from error
    posted = found.all()
    if len(posted) != len(moves):
        raise RuntimeError(f"{len(posted)} entries were posted for {len(moves)} facts")
    return (_told(move, row) for move, row in zip(moves, posted, strict=True))


def _told(move: _Move, row: Row[Any]) -> Outgoing:
    fact = EntryPosted(
        entry_id=row.entry,
        user_guid=move.worker,
        task_id=move.task_id,
        kind=move.kind.value,
        amount_cents=row.amount,
        balance_after_cents=row.balance_after,
        business_date=row.posted_on,
        late=row.came_late,
        occurred_at=move.occurred_at,
    )
    return entry_posted(fact, move.cause)


def _contradiction(error: IntegrityError) -> ContradictingFact | None:
    """What the journal's own rules refused: a second fee of a cycle, or a second reward of a task."""
    cause = error.orig.__cause__ if error.orig is not None else None
    if getattr(cause, "constraint_name", None) not in ONCE:
        return None
    return ContradictingFact(_("The journal already has it: {fact}", fact=getattr(cause, "detail", "")))


def entry_posted(fact: EntryPosted, cause: Received[TaskFact] | None = None) -> Outgoing:
    """Tell of an entry from the worker's view. The event id is derived: a replay says the same fact again."""
    return Outgoing(
        facts=(fact,),
        key=fact.user_guid,
        occurred_at=fact.occurred_at,
        event_id=fact_id("EntryPosted", fact.entry_id),
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
    await session.execute(KEEP_TITLES, these([newest[task_id] for task_id in sorted(newest)]))


async def _price(session: Session, facts: Sequence[Received[TaskFact]]) -> Iterator[Outgoing]:
    """Price what has no price yet; answers what to say of it.

    A price on record stands, whatever the key says today.
    """
    first = {fact.data.task_id: fact for fact in reversed(facts)}
    key = settings(session, BillingSettings).price_key.get_secret_value().encode()
    drawn = {task_id: price_task(task_id, key) for task_id in sorted(first)}
    now = clock(session).now()
    rows = [
        {
            "task_id": task_id,
            "fee_cents": price.fee_cents,
            "reward_cents": price.reward_cents,
            "priced_at": now,
        }
        for task_id, price in drawn.items()
    ]
    new = (await session.scalars(FIX_PRICES, these(rows))).all()
    return (_priced(first[task_id], drawn[task_id]) for task_id in sorted(new))


def _priced(cause: Received[TaskFact], price: Price) -> Outgoing:
    fact = TaskPriced(
        task_id=cause.data.task_id,
        fee_cents=price.fee_cents,
        reward_cents=price.reward_cents,
        priced_at=cause.occurred_at,
    )
    return Outgoing(
        facts=(fact,),
        key=fact.task_id,
        occurred_at=fact.priced_at,
        event_id=fact_id("TaskPriced", fact.task_id),
        cause=cause,
    )
