"""Rebuild the views from the raw log while events keep coming, and compare or exchange them.

The rebuilt views are temporary tables, made like the live ones and gone with the transaction. The fold that
writes the live views writes them too.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text

from analytics.commands.applying import LIVE, apply, changes_of
from analytics.commands.recording import LOG_LOCK
from analytics.events import HEARD
from analytics.models import VIEWS, RawEvent
from service_kit.database import Session
from service_kit.events import Event, type_name

REBUILT = "pg_temp"
CHUNK_EVENTS = 5_000
CATCHING_UP_TIMES_MAX = 20

_CLASSES = {event.type_name(): event for event in HEARD}
_VIEW_NAMES = tuple(view.__tablename__ for view in VIEWS)


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not the same in the live and in the rebuilt view; None where it is missing."""

    view: str
    live: dict[str, Any] | None
    rebuilt: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Rebuilt:
    events: int
    rows: dict[str, int]
    differences: list[Difference]
    difference_count: int
    swapped: bool


@dataclass(frozen=True, slots=True)
class _LoggedFact:
    data: Event
    event_id: UUID
    occurred_at: datetime


Tell = Callable[[int, int], None]
"""Told how many events are folded and up to which number of the log the fold goes at present."""


async def rebuild_views(
    session: Session,
    *,
    swap: bool,
    differences_max: int = 100,
    chunk_events: int = CHUNK_EVENTS,
    tell: Tell = lambda _folded, _end: None,
) -> Rebuilt:
    """Fold the whole log anew and compare with the live views; with `swap` put the rebuilt in their place.

    Memory holds one chunk of events and `differences_max` differences, however long the log is.

    The live consumers go on until the last stretch, which is at most about one chunk long; for that stretch
    and the comparison they wait.
    """
    for view in _VIEW_NAMES:
        await session.execute(
            text(f"create table {REBUILT}.{view} (like {LIVE}.{view} including all) on commit drop")
        )
    position = folded = 0
    for _ in range(CATCHING_UP_TIMES_MAX):
        end = await _settled_end(session)
        stretch = 0
        async for count in _fold(session, position, end, chunk_events):
            stretch += count
            tell(folded + stretch, end)
        position, folded = end, folded + stretch
        if stretch < chunk_events:
            break
    await session.execute(select(func.pg_advisory_xact_lock(LOG_LOCK)))
    async for count in _fold(session, position, await _end(session), chunk_events):
        folded += count

    differences: list[Difference] = []
    difference_count = 0
    rows: dict[str, int] = {}
    for view in _VIEW_NAMES:
        found, count = await _differences(session, view, most=max(0, differences_max - len(differences)))
        difference_count += count
        differences += found
        rows[view] = (await session.execute(text(f"select count(*) from {REBUILT}.{view}"))).scalar_one()  # noqa: S608
    if swap:
        for view in _VIEW_NAMES:
            await session.execute(text(f"delete from {LIVE}.{view}"))  # noqa: S608  names of our own tables
            await session.execute(text(f"insert into {LIVE}.{view} select * from {REBUILT}.{view}"))  # noqa: S608
    return Rebuilt(folded, rows, differences, difference_count, swap)


async def _settled_end(session: Session) -> int:
    """The end of the log at a moment in which nobody is adding to it.

    Numbers of the log are drawn before they are committed, so its last visible number alone would promise too
    much. Rolling back to the savepoint gives the lock back at once.
    """
    savepoint = await session.begin_nested()
    await session.execute(select(func.pg_advisory_xact_lock(LOG_LOCK)))
    end = await _end(session)
    await savepoint.rollback()
    return end


async def _end(session: Session) -> int:
    return (await session.execute(select(func.coalesce(func.max(RawEvent.seq), 0)))).scalar_one()


async def _fold(session: Session, after: int, until: int, chunk_events: int) -> AsyncIterator[int]:
    """Apply the events of the log with numbers in (after, until]; says after each chunk how many it had."""
    columns = (
        RawEvent.seq,
        RawEvent.topic,
        RawEvent.name,
        RawEvent.version,
        RawEvent.event_id,
        RawEvent.occurred_at,
        RawEvent.data,
    )
    while after < until:
        chunk = select(*columns).where(RawEvent.seq > after, RawEvent.seq <= until).order_by(RawEvent.seq)
        rows = (await session.execute(chunk.limit(chunk_events))).all()
        if not rows:
            break
        await apply(session, changes_of(_facts(rows)), schema=REBUILT)
        after = rows[-1].seq
        yield len(rows)


def _facts(rows: Sequence[Any]) -> list[_LoggedFact]:
    return [
        _LoggedFact(declared.model_validate(row.data), row.event_id, row.occurred_at)
        for row in rows
        if (declared := _CLASSES.get(type_name(row.topic, row.name, row.version))) is not None
    ]


async def _differences(session: Session, view: str, *, most: int) -> tuple[list[Difference], int]:
    """The first differences in the order of the view's key, and how many there are."""
    keys = next(model for model in VIEWS if model.__tablename__ == view).__table__.primary_key
    join = ", ".join(column.name for column in keys)
    differing = (
        f"from {LIVE}.{view} as live full join {REBUILT}.{view} as rebuilt using ({join})"
        " where live is distinct from rebuilt"
    )
    count = (await session.execute(text(f"select count(*) {differing}"))).scalar_one()
    if not count or not most:
        return [], count
    found = await session.execute(
        text(
            "select to_jsonb(live) as live, to_jsonb(rebuilt) as rebuilt"
            f" {differing} order by {join} limit :most"
        ),
        {"most": most},
    )
    return [Difference(view, row.live, row.rebuilt) for row in found], count
