"""Hear events: keep each as it came, and apply it to the views, in one transaction."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import func, select, true
from sqlalchemy.dialects.postgresql import insert

from analytics.commands.applying import apply, changes_of
from analytics.models import TABLES, RawEvent
from service_kit.database import Session, lock_key
from service_kit.events import Event, Received
from service_kit.live.changes import announce
from service_kit.rows import given, these

LOG_LOCK = lock_key("analytics.raw_events")
"""Shared by all who add to the log; a rebuild takes it alone for the moment in which the log must rest."""


_RAW_EVENTS = TABLES[RawEvent.__tablename__]
_ROWS = given(
    _RAW_EVENTS,
    *("event_id", "name", "version", "topic", "partition", "offset"),
    *("key", "occurred_at", "sent_at", "correlation_id", "data"),
)
_LOCKED = select(func.pg_advisory_xact_lock_shared(LOG_LOCK).label("held")).cte("locked")
# No row leaves the join before the lock is held, and so none draws its number before.
ADD = (
    insert(_RAW_EVENTS)
    .from_select(_ROWS.c.keys(), select(*_ROWS.c).join_from(_LOCKED, _ROWS, true()))
    .on_conflict_do_nothing(index_elements=["event_id"])
    .returning(_RAW_EVENTS.c.event_id)
)


async def record_events(session: Session, received: Sequence[Received[Event]]) -> None:
    """Add the events to the raw log, and those that are new to it to the views."""
    arrived = {event.event_id: event for event in received}
    rows = [_row(arrived[event_id]) for event_id in sorted(arrived)]
    new = set((await session.scalars(ADD, these(rows))).all())
    await apply(session, changes_of(event for event_id, event in arrived.items() if event_id in new))
    if new:
        await announce(session, ["today"])


def _row(event: Received[Event]) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "name": event.data.name,
        "version": event.data.version,
        "topic": event.topic,
        "partition": event.partition,
        "offset": event.offset,
        "key": event.key,
        "occurred_at": event.occurred_at,
        "sent_at": event.sent_at,
        "correlation_id": event.correlation_id,
        # Whole, not only the fields that are read today; it was read as JSON before it came here.
        "data": orjson.Fragment(event.raw),
    }
