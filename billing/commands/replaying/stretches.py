"""Events are kept, brought into the order of the live ledger, and posted by the commands of every day."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Row, text

from billing.commands.closing import close_due_days, settle_accounts
from billing.commands.posting import post_task_facts
from billing.commands.replaying.shadow import Progress
from billing.domain import COMPANY
from billing.events import (
    AccountCreated,
    AccountUpdated,
    TaskAssigned,
    TaskCompleted,
    TaskCreated,
    TaskFact,
    TaskUpdated,
)
from service_kit.clock import FixedClock
from service_kit.context import clock
from service_kit.database import Session
from service_kit.events import Event, Received
from service_kit.rereading import Said

AT_ONCE = 2000
MOVES_MONEY = {TaskAssigned.type_name(), TaskCompleted.type_name()}

TASK_FACTS: dict[str, type[TaskFact]] = {
    event.type_name(): event for event in (TaskCreated, TaskUpdated, TaskAssigned, TaskCompleted)
}
ACCOUNT_FACTS: dict[str, type[Event]] = {
    event.type_name(): event for event in (AccountCreated, AccountUpdated)
}

KEEP = text(
    """
    with kept as (
        insert into replay_facts (event_id, type_name, occurred_at, raw, moves_money)
        select * from unnest(
            cast(:ids as uuid[]), cast(:types as text[]), cast(:moments as timestamptz[]),
            cast(:raw as bytea[]), cast(:moves as boolean[])
        )
        on conflict do nothing
        returning 1
    )
    select count(*) from kept
    """
)

# The company takes part in every entry of a fact: its versions count them in the order of their commits.
IN_THEIR_ORDER = text(
    """
    with entered as materialized (
        select version, entry_id from public.postings
        where account_id = :company and version > :after and version <= :until
    )
    select f.event_id, f.type_name, f.occurred_at, f.raw
    from entered c
    join public.journal_entries e on e.id = c.entry_id
    join public.inbox i on i.event_id = e.event_id
    join replay_facts f on f.event_id = i.event_id and f.fingerprint = i.fingerprint
    order by c.version
    """
)

# Found once and numbered: to look for the next few again and again would read everything as often.
NOTE_WITHOUT_A_PLACE = text(
    """
    insert into replay_rest (event_id, fingerprint)
    select f.event_id, f.fingerprint from replay_facts f
    join public.inbox i on i.event_id = f.event_id and i.fingerprint = f.fingerprint
    where f.moves_money = :money
      and not (f.moves_money and exists (
          select from public.journal_entries e
          join public.postings c on c.entry_id = e.id and c.account_id = :company
          where e.event_id = f.event_id
      ))
    order by f.event_id
    on conflict do nothing
    """
)

WITHOUT_A_PLACE = text(
    """
    with chosen as materialized (select * from replay_rest where place > :after order by place limit :most)
    select f.event_id, f.type_name, f.occurred_at, f.raw, c.place from chosen c
    join replay_facts f on f.event_id = c.event_id and f.fingerprint = c.fingerprint
    order by c.place
    """
)

E = TypeVar("E", bound=Event)
Handle = Callable[[Session, Sequence[Received[Event]]], Awaitable[None]]
"""What the consumer does with a batch of events. Facts about tasks are posted without it, by its command."""


async def keep_facts(session: Session, progress: Progress, facts: Sequence[Said]) -> None:
    """Remember facts until their turn comes; those that were read before are left out."""
    if not facts:
        return
    kept = await session.scalar(
        KEEP,
        {
            "ids": [fact.event_id for fact in facts],
            "types": [fact.type_name for fact in facts],
            "moments": [fact.occurred_at for fact in facts],
            "raw": [fact.raw for fact in facts],
            "moves": [fact.type_name in MOVES_MONEY for fact in facts],
        },
    )
    progress.facts += kept or 0


async def replay_some(session: Session, progress: Progress) -> bool:
    """Post the next facts, or go on closing days; answers False when all is done that the live ledger did.

    The clock of the session must be a `FixedClock`: it is set to the moments of the live closes.
    """
    await session.execute(text("truncate pg_temp.outbox, pg_temp.live_changes"))
    close = await _next_close(session, progress.end)
    until = close.position if close is not None else progress.end
    if progress.position < until:
        after, progress.position = progress.position, min(progress.position + AT_ONCE, until)
        places = {"company": COMPANY, "after": after, "until": progress.position}
        rows = await session.execute(IN_THEIR_ORDER, places)
        await post_task_facts(session, _told(rows, TASK_FACTS), said_before=True)
        return True
    if close is None:
        return False
    fixed = clock(session)
    if not isinstance(fixed, FixedClock):
        raise TypeError("a replay sets the clock to the moments of the closes")
    fixed.set(close.closed_at)
    # This day alone: what the live ledger had for the days behind it by then may come later here.
    await close_due_days(session, unread=close.unread, until=close.business_date)
    while await settle_accounts(session, through=close.through):
        pass
    closed = text(
        "select count(*) from pg_temp.days"
        " where state = 'closed' and business_date >= coalesce(cast(:begin as date), '-infinity')"
    )
    progress.days = await session.scalar(closed, {"begin": progress.begin}) or 0
    # Whatever was not done is shown as a difference; the replay does not stop at it.
    await session.execute(
        text("delete from replay_closes where business_date = :day and position = :position"),
        {"day": close.business_date, "position": close.position},
    )
    return True


async def replay_rest(session: Session, handle: Handle, *, money: bool) -> None:
    """Facts without a place in the live order: titles and accounts, or with `money` what has no entry.

    Only what the live consumer has marked as handled: what it has still before it is no difference.
    """
    last = await session.scalar(text("select coalesce(max(place), 0) from replay_rest"))
    await session.execute(NOTE_WITHOUT_A_PLACE, {"company": COMPANY, "money": money})
    while rows := (await session.execute(WITHOUT_A_PLACE, {"after": last, "most": AT_ONCE})).all():
        last = rows[-1].place
        await post_task_facts(session, _told(rows, TASK_FACTS), said_before=True)
        await handle(session, _told(rows, ACCOUNT_FACTS))


async def _next_close(session: Session, end: int) -> Row[Any] | None:
    """The next step of closing a day, if the live ledger took it behind nothing that lies beyond `end`."""
    chosen = text(
        "select * from replay_closes where position <= :end order by business_date, position limit 1"
    )
    return (await session.execute(chosen, {"end": end})).one_or_none()


def _told(rows: Iterable[Row[Any]], classes: Mapping[str, type[E]]) -> list[Received[E]]:
    """Facts of these classes, parsed."""
    return [
        _received(row, kind.model_validate_json(row.raw))
        for row in rows
        if (kind := classes.get(row.type_name)) is not None
    ]


def _received(row: Row[Any], data: E) -> Received[E]:
    # Where it lay in its topic, and under which key, moves nothing in the ledger.
    return Received(
        data=data,
        event_id=row.event_id,
        occurred_at=row.occurred_at,
        key="",
        correlation_id=None,
        topic=data.topic,
        partition=0,
        offset=0,
        sent_at=row.occurred_at,
        raw=row.raw,
    )
