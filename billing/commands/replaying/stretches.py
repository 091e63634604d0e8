"""Events are kept, brought into the order of the live ledger, and posted by the commands of every day."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import Row, text

from billing.commands.closing import close_due_days, settle_accounts
from billing.commands.replaying.shadow import Progress
from billing.events import (
    AccountCreated,
    AccountUpdated,
    TaskAssigned,
    TaskCompleted,
    TaskCreated,
    TaskUpdated,
)
from service_kit.clock import FixedClock
from service_kit.context import clock
from service_kit.database import Session
from service_kit.events import Event, Received

AT_ONCE = 2000
MOVES_MONEY = {TaskAssigned.name, TaskCompleted.name}

_CLASSES: dict[str, type[Event]] = {
    event.type_name(): event
    for event in (AccountCreated, AccountUpdated, TaskCreated, TaskUpdated, TaskAssigned, TaskCompleted)
}

Handle = Callable[[Session, Sequence[Received[Event]]], Awaitable[None]]
"""What the consumer does with a batch of events."""


async def keep_facts(session: Session, progress: Progress, events: Sequence[Received[Event]]) -> None:
    """Remember events until their turn comes; those that were read before are left out."""
    if not events:
        return
    kept = await session.execute(
        text(
            "insert into replay_facts (event_id, type_name, occurred_at, key, topic, partition,"
            ' "offset", sent_at, raw, moves_money) select * from unnest(cast(:ids as uuid[]),'
            " cast(:types as text[]), cast(:moments as timestamptz[]), cast(:keys as text[]),"
            " cast(:topics as text[]), cast(:partitions as integer[]), cast(:offsets as bigint[]),"
            " cast(:sent as timestamptz[]), cast(:raw as bytea[]), cast(:moves as boolean[]))"
            " on conflict do nothing returning 1"
        ),
        {
            "ids": [event.event_id for event in events],
            "types": [event.data.type_name() for event in events],
            "moments": [event.occurred_at for event in events],
            "keys": [event.key for event in events],
            "topics": [event.topic for event in events],
            "partitions": [event.partition for event in events],
            "offsets": [event.offset for event in events],
            "sent": [event.sent_at for event in events],
            "raw": [event.raw for event in events],
            "moves": [event.data.name in MOVES_MONEY for event in events],
        },
    )
    progress.facts += len(kept.all())


async def replay_some(session: Session, progress: Progress, handle: Handle) -> bool:
    """Post the next facts, or go on closing days; answers False when all is done that the live ledger did.

    The clock of the session must be a `FixedClock`: it is set to the moments of the live closes.
    """
    await session.execute(text("truncate pg_temp.outbox"))
    close = await _next_close(session, progress.end)
    until = close.position if close is not None else progress.end
    rows = (
        await session.execute(
            text(
                "select * from replay_facts where position > :after and position <= :until"
                " order by position limit :limit"
            ),
            {"after": progress.position, "until": until, "limit": AT_ONCE},
        )
    ).all()
    if rows:
        await handle(session, [_event(row) for row in rows])
        progress.position = rows[-1].position
        return True
    progress.position = max(progress.position, until)
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
    chosen = text(
        "select f.* from replay_facts f"
        " join public.inbox i using (event_id)"
        " where f.position is null and f.moves_money = :money order by f.event_id limit :most"
    )
    while rows := (await session.execute(chosen, {"money": money, "most": AT_ONCE})).all():
        await handle(session, [_event(row) for row in rows])
        await session.execute(
            text("update replay_facts set position = 0 where event_id = any (cast(:ids as uuid[]))"),
            {"ids": [row.event_id for row in rows]},
        )


async def _next_close(session: Session, end: int) -> Row[Any] | None:
    """The next step of closing a day, if the live ledger took it behind nothing that lies beyond `end`."""
    chosen = text(
        "select * from replay_closes where position <= :end order by business_date, position limit 1"
    )
    return (await session.execute(chosen, {"end": end})).one_or_none()


def _event(row: Row[Any]) -> Received[Event]:
    return Received(
        data=_CLASSES[row.type_name].model_validate_json(row.raw),
        event_id=row.event_id,
        occurred_at=row.occurred_at,
        key=row.key,
        correlation_id=None,
        topic=row.topic,
        partition=row.partition,
        offset=row.offset,
        sent_at=row.sent_at,
        raw=row.raw,
    )
