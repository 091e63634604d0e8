"""Hear events: keep each as it came, and apply it to the views, in one transaction."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from analytics.commands.applying import apply, changes_of
from analytics.models import RawEvent
from service_kit.database import Session, lock_key
from service_kit.events import Event, Received
from service_kit.live.changes import announce

LOG_LOCK = lock_key("analytics.raw_events")
"""Shared by all who add to the log; a rebuild takes it alone for the moment in which the log must rest."""


async def record_events(session: Session, received: Sequence[Received[Event]]) -> None:
    """Add the events to the raw log, and those that are new to it to the views."""
    await session.execute(select(func.pg_advisory_xact_lock_shared(LOG_LOCK)))
    arrived = {event.event_id: event for event in received}
    rows = [_row(arrived[event_id]) for event_id in sorted(arrived)]
    statement = (
        insert(RawEvent).on_conflict_do_nothing(index_elements=["event_id"]).returning(RawEvent.event_id)
    )
    new = set((await session.execute(statement, rows)).scalars())
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
        # Whole, not only the fields that are read today.
        "data": orjson.loads(event.raw),
    }
