"""Events that can not be handled, put aside with the reason and their original bytes.

The unhandled event waits in a table of the consumer's database and is said on `<consumer>.dead-letters`, so
that nothing is lost and the events behind it go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from service_kit import outbox
from service_kit.context import context
from service_kit.database import Session, kit_metadata
from service_kit.ids import new_id
from service_kit.telemetry import DEAD_LETTERS

log = structlog.get_logger()

NOW = text("clock_timestamp()")

dead_letters = Table(
    "dead_letters",
    kit_metadata,
    Column("id", Uuid, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("headers", JSONB, nullable=False),
    Column("event_id", Uuid, index=True),
    Column("reason", Text, nullable=False, comment="stable code, to group by"),
    Column("detail", Text, nullable=False, comment="sentence with the path of what is wrong"),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("first_seen_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Column("last_seen_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    UniqueConstraint("topic", "partition", "offset"),
    CheckConstraint("state in ('waiting', 'redriven', 'discarded')", name="state"),
)


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """A record as the broker gave it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]
    event_id: UUID | None


async def put_aside(session: Session, record: Undeliverable, *, reason: str, detail: str) -> None:
    """Keep the record and say so; a record that was put aside before only counts one more attempt."""
    table = dead_letters
    statement = (
        insert(table)
        .values(
            id=new_id(),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=dict(record.headers),
            event_id=record.event_id,
            reason=reason,
            detail=detail,
        )
        .on_conflict_do_update(
            index_elements=["topic", "partition", "offset"],
            set_={
                "attempts": table.c.attempts + 1,
                "last_seen_at": NOW,
                "reason": reason,
                "detail": detail,
                "state": "waiting",
            },
        )
    )
    await session.execute(statement)
    origin = {
        "dl_topic": record.topic,
        "dl_partition": str(record.partition),
        "dl_offset": str(record.offset),
        "dl_reason": reason,
        "dl_detail": detail[:500],
    }
    await outbox.publish_raw(
        session,
        topic=dead_letter_topic(context(session).settings.name),
        key=(record.key or b"").decode(errors="replace"),
        value=record.value or b"",
        headers={**record.headers, **origin},
        occurred_at=datetime.now(UTC),
    )
    DEAD_LETTERS.labels(reason).inc()
    log.error(
        "dead_letter",
        reason=reason,
        detail=detail,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        event_id=str(record.event_id),
    )


def dead_letter_topic(consumer: str) -> str:
    return f"{consumer}.dead-letters"
