"""Proof of what was handled, written in the same transaction as its effect: each event acts once."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import structlog
from sqlalchemy import BigInteger, Column, DateTime, Integer, LargeBinary, Table, Text, Uuid, select, text

from service_kit.database import Session, kit_metadata
from service_kit.events import Event, Received
from service_kit.rows import inserting, these
from service_kit.telemetry import DUPLICATES_DIFFERENT

log = structlog.get_logger(__name__)

inbox = Table(
    "inbox",
    kit_metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False, comment="that acted; others are silence"),
    Column("fingerprint", LargeBinary, nullable=False, comment="SHA-256 of the data"),
    Column("name", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", Text, nullable=False, index=True),
    Column("correlation_id", Text, index=True),
    Column(
        "sent_at", DateTime(timezone=True), nullable=False, comment="when the relay gave it to the broker"
    ),
    Column("processed_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
)

MARK = (
    inserting(inbox, *(column.name for column in inbox.c if column.server_default is None))
    .on_conflict_do_nothing()
    .returning(inbox.c.event_id)
)

R = TypeVar("R", bound=Received[Event])


async def first_time(session: Session, events: Sequence[R]) -> list[R]:
    """Mark the events as handled; answers those that were not before, in their order.

    The same id with the same content is silence. With other content of the same version it is an alarm (log
    and metric) and has no effect; another version of the same fact is silence.
    """
    fresh: dict[object, R] = {}
    repeated: list[R] = []
    for event in events:
        if event.event_id in fresh:
            repeated.append(event)
        else:
            fresh[event.event_id] = event
    if not fresh:
        return []
    # Sorted by id, so that two consumers with the same ids can not lock each other out.
    rows = [_row(event) for event in sorted(fresh.values(), key=lambda event: event.event_id)]
    accepted = set((await session.scalars(MARK, these(rows))).all())
    repeated += [event for event_id, event in fresh.items() if event_id not in accepted]
    await _alarm_on_other_content(session, repeated)
    return [event for event_id, event in fresh.items() if event_id in accepted]


def fingerprint(event: Received[Event]) -> bytes:
    return hashlib.sha256(event.raw).digest()


def _row(event: Received[Event]) -> dict[str, object]:
    return {
        "event_id": event.event_id,
        "version": event.data.version,
        "fingerprint": fingerprint(event),
        "name": event.data.name,
        "topic": event.topic,
        "partition": event.partition,
        "offset": event.offset,
        "key": event.key,
        "correlation_id": event.correlation_id,
        "sent_at": event.sent_at,
    }


async def _alarm_on_other_content(session: Session, repeated: Sequence[Received[Event]]) -> None:
    if not repeated:
        return
    columns = (inbox.c.event_id, inbox.c.version, inbox.c.fingerprint)
    known = await session.execute(
        select(*columns).where(inbox.c.event_id.in_([e.event_id for e in repeated]))
    )
    handled = {row.event_id: (row.version, row.fingerprint) for row in known}
    for event in repeated:
        version, print_ = handled[event.event_id]
        if version == event.data.version and print_ != fingerprint(event):
            DUPLICATES_DIFFERENT.inc()
            log.error(
                "duplicate_with_other_content",
                event_id=str(event.event_id),
                event_name=event.data.name,
                topic=event.topic,
                partition=event.partition,
                offset=event.offset,
            )
