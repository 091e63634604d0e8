"""Facts about tasks become prices and postings, a whole batch with a handful of statements.

Locks are always taken in the same order: titles, prices, then inside of the database's own function the
ledger's state (shared, so that no day closes meanwhile) and accounts by id. The company takes part in every
entry, so holding its row puts all posters in line. Why a function posts: decision 0011.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ARRAY,
    Boolean,
    Date,
    DateTime,
    Text,
    Uuid,
    bindparam,
    text,
)
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
from billing.models import titles
from billing.settings import BillingSettings
from service_kit.context import clock, settings
from service_kit.database import Session, notify_after_commit
from service_kit.events import Received
from service_kit.live.changes import announce
from service_kit.outbox import CHANNEL, FORM, form, moment_in_json, saying
from service_kit.rows import inserting, these
from service_kit.text import message as _

_GIVEN_TITLES = inserting(titles, "task_id", "title", "jira_id", "updated_at")
KEEP_TITLES = _GIVEN_TITLES.on_conflict_do_update(
    index_elements=["task_id"],
    set_={name: _GIVEN_TITLES.excluded[name] for name in ("title", "jira_id", "updated_at")},
    where=titles.c.updated_at <= _GIVEN_TITLES.excluded.updated_at,
)

ONCE = {"uq_journal_entries_fee", "uq_journal_entries_reward"}
"""A cycle of a task is charged once and a task is rewarded once, whatever ids the events carry."""


# What has no price yet gets one, and of each price something is said, all in one round trip. The ids are
# sorted, so that two workers that price the same tasks can not lock each other out.
FIX_PRICES = text(
    f"""
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:given AS json)) AS g (
            task_id uuid, fee integer, reward integer, fact_id uuid, moment timestamptz,
            event_id text, correlation_id text, traceparent text
        )
    ), fixed AS (
        INSERT INTO task_prices (task_id, fee_cents, reward_cents, priced_at)
        SELECT task_id, fee, reward, :now FROM given
        ON CONFLICT DO NOTHING RETURNING task_id
    )
    {
        saying(
            "given JOIN fixed USING (task_id) WHERE NOT :said_before",
            event_id="fact_id",
            key="task_id",
            blanks=f"task_id, fee, reward, {moment_in_json('moment')}",
            at="moment",
            correlation="correlation_id",
            causation="event_id",
            traceparent="traceparent",
        )
    }
    """  # noqa: S608  names and expressions of our own
).bindparams(
    bindparam("given", type_=Text),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("said_before", type_=Boolean),
    *FORM,
)
PRICE_FIELDS = ("task_id", "fee_cents", "reward_cents", "priced_at")

POST_ENTRIES = text(
    "select post_entries(:company, :now, cast(:given as json), :workers, :day_zone, :day_dates, :day_starts,"
    " not :said_before, :said_topic, :said_name, :said_version, :said_schema, :said_form)"
).bindparams(
    bindparam("company", type_=Uuid),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("given", type_=Text),
    bindparam("workers", type_=ARRAY(Uuid)),
    bindparam("day_starts", type_=ARRAY(DateTime(timezone=True))),
    bindparam("day_dates", type_=ARRAY(Date)),
    bindparam("day_zone", type_=Text),
    bindparam("said_before", type_=Boolean),
    *FORM,
)
ENTRY_FIELDS = (
    *("entry_id", "user_guid", "task_id", "kind", "amount_cents", "balance_after_cents"),
    *("business_date", "late", "occurred_at"),
)
"""In the order in which the function fills them in."""


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
    await _price(session, facts, said_before=said_before)
    moves = [move for fact in facts if (move := _move_of(fact)) is not None]
    if moves:
        await _post(session, moves, said_before=said_before)
    if said_before:
        return
    notify_after_commit(session, CHANNEL)
    if moves:
        await announce(session, ["books", *(f"account:{move.worker}" for move in moves)])


async def _post(session: Session, moves: Sequence[_Move], *, said_before: bool) -> None:
    """Post the moves, and say so."""
    own = settings(session, BillingSettings)
    rows = [_entry_row(move, own.zone) for move in moves]
    days = sorted({row["own_date"] for row in rows})
    try:
        posted = await session.scalar(
            POST_ENTRIES,
            these(rows)
            | form(session, _example_of_an_entry(moves[0]), ENTRY_FIELDS)
            | {
                "company": COMPANY,
                "now": clock(session).now(),
                "workers": list({move.worker for move in moves}),
                "day_zone": own.business_time_zone,
                "day_dates": days,
                "day_starts": [day_bounds(day, own.zone)[0] for day in days],
                "said_before": said_before,
            },
        )
    except IntegrityError as error:
        raise _contradiction(error) or error from error
    if posted != len(moves):
        raise RuntimeError(f"{posted} entries were posted for {len(moves)} facts")


def _entry_row(move: _Move, zone: ZoneInfo) -> dict[str, Any]:
    entry = entry_id(move.cause.event_id)
    return {
        "event_id": move.cause.event_id,
        "entry_id": entry,
        "fact_id": fact_id("EntryPosted", entry),
        "kind": move.kind,
        "task_id": move.task_id,
        "cycle": move.cycle,
        "worker": move.worker,
        "moment": move.occurred_at,
        "own_date": business_date(move.occurred_at, zone),
        "correlation_id": move.cause.correlation_id,
        "traceparent": move.cause.traceparent,
    }


def _example_of_an_entry(move: _Move) -> EntryPosted:
    return EntryPosted(
        entry_id=move.cause.event_id,
        user_guid=move.worker,
        task_id=move.task_id,
        kind=move.kind.value,
        amount_cents=1,
        balance_after_cents=1,
        business_date=move.occurred_at.date(),
        late=False,
        occurred_at=move.occurred_at,
    )


def _contradiction(error: IntegrityError) -> ContradictingFact | None:
    """What the journal's own rules refused: a second fee of a cycle, or a second reward of a task."""
    cause = error.orig.__cause__ if error.orig is not None else None
    if getattr(cause, "constraint_name", None) not in ONCE:
        return None
    return ContradictingFact(_("The journal already has it: {fact}", fact=getattr(cause, "detail", "")))


def _move_of(fact: Received[TaskFact]) -> _Move | None:
    data = fact.data
    # Compared by class: a pattern, as `isinstance`, asks Pydantic's classes in a slow way.
    if type(data) is TaskAssigned:
        kind, moment = EntryKind.FEE, data.assigned_at
    elif type(data) is TaskCompleted:
        kind, moment = EntryKind.REWARD, data.completed_at
    else:
        return None
    return _Move(fact, kind, data.task_id, data.cycle, data.user_guid, moment)


async def _keep_titles(session: Session, facts: Iterable[TaskFact]) -> None:
    newest: dict[UUID, dict[str, object]] = {}
    for fact in facts:
        if type(fact) is TaskCreated:
            moment = fact.created_at
        elif type(fact) is TaskUpdated:
            moment = fact.updated_at
        else:
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


async def _price(session: Session, facts: Sequence[Received[TaskFact]], *, said_before: bool) -> None:
    """Price what has no price yet, and say so. A price on record stands, whatever the key says today."""
    first = {fact.data.task_id: fact for fact in reversed(facts)}
    key = settings(session, BillingSettings).price_key.get_secret_value().encode()
    rows = [_price_row(cause, price_task(task, key)) for task, cause in sorted(first.items())]
    example = TaskPriced(
        task_id=rows[0]["task_id"],
        fee_cents=rows[0]["fee"],
        reward_cents=rows[0]["reward"],
        priced_at=rows[0]["moment"],
    )
    await session.execute(
        FIX_PRICES,
        these(rows)
        | form(session, example, PRICE_FIELDS)
        | {"now": clock(session).now(), "said_before": said_before},
    )


def _price_row(cause: Received[TaskFact], price: Price) -> dict[str, Any]:
    task_id = cause.data.task_id
    return {
        "task_id": task_id,
        "fee": price.fee_cents,
        "reward": price.reward_cents,
        "fact_id": fact_id("TaskPriced", task_id),
        "moment": cause.occurred_at,
        "event_id": cause.event_id,
        "correlation_id": cause.correlation_id,
        "traceparent": cause.traceparent,
    }
