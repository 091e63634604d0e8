"""Put a record aside: into the table, and onto `<consumer>.dead-letters`, so that those behind it go on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy import case, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert

from service_kit import outbox
from service_kit.context import context
from service_kit.database import Session
from service_kit.dead_letters import places
from service_kit.dead_letters.tables import NOW, dead_letter_actions, dead_letters
from service_kit.ids import new_id
from service_kit.telemetry import DEAD_LETTERS

log = structlog.get_logger(__name__)


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

    def identity(self) -> bytes:
        """Equal for the same event that is read again, even from a broker that was set up anew.

        Without an event id only the place tells two records apart; the bytes are in it as well, because after
        the loss of a broker another record may stand at the same place.
        """
        where = f"{self.event_id}" if self.event_id else f"{self.partition}@{self.offset}"
        parts = (self.topic.encode(), where.encode(), self.key or b"", self.value or b"")
        found = hashlib.sha256()
        for part in parts:
            found.update(len(part).to_bytes(8, "big") + part)
        return found.digest()


DETAIL_MAX = 500


def shortened(text: str) -> str:
    """What is wrong, without the middle of the value it is wrong with: that may be as large as a record."""
    if len(text) <= DETAIL_MAX:
        return text
    half = DETAIL_MAX // 2
    return f"{text[:half]} … {text[-half:]}"


def _storable(text: str) -> str:
    """PostgreSQL keeps no NUL in text; a record that could not even be put aside would stop its partition."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


async def put_aside(session: Session, record: Undeliverable, *, reason: str, detail: str) -> None:
    """Keep the record and say so; a record that was put aside before only counts one more attempt."""
    record = replace(
        record, headers={_storable(name): _storable(value) for name, value in record.headers.items()}
    )
    reason, detail = _storable(reason), shortened(_storable(detail))
    letter_id = places.letter_of(record.topic, record.headers)
    if letter_id is None or not await _back_again(session, letter_id, reason, detail):
        await _keep(session, record, reason, detail)
    origin = {
        places.TOPIC: record.topic,
        places.PARTITION: str(record.partition),
        places.OFFSET: str(record.offset),
        places.REASON: reason,
        places.DETAIL: detail,
    }
    value = record.value or b""
    # A letter that comes back keeps the place where it stood first.
    told = {**record.headers, **origin} if letter_id is None else {**origin, **record.headers}
    if (
        len(value) + len(record.key or b"") + sum(len(n) + len(v) for n, v in told.items())
        > places.SENT_BYTES_MAX
    ):
        value, told = b"", {**origin, places.SHORTENED: "the whole of it is in the table"}
    await outbox.publish_raw(
        session,
        topic=places.dead_letter_topic(context(session).settings.name),
        key=_storable((record.key or b"").decode(errors="replace")),
        value=value,
        headers=told,
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


async def _back_again(session: Session, letter_id: UUID, reason: str, detail: str) -> bool:
    """A letter that was sent again and failed again waits for a person once more."""
    table = dead_letters
    statement = (
        update(table)
        .where(table.c.id == letter_id, table.c.state == "redriven")
        .values(
            attempts=table.c.attempts + 1, last_seen_at=NOW, reason=reason, detail=detail, state="waiting"
        )
        .returning(table.c.redrive_id)
    )
    found = (await session.execute(statement)).first()
    if found is None:
        return False
    failed = {
        "letter_id": letter_id,
        "redrive_id": found.redrive_id,
        "action": "failed",
        "note": f"{reason}: {detail}",
    }
    await session.execute(plain_insert(dead_letter_actions).values(failed))
    return True


async def _keep(session: Session, record: Undeliverable, reason: str, detail: str) -> None:
    table = dead_letters
    waits = table.c.state == "waiting"
    statement = (
        insert(table)
        .values(
            id=new_id(),
            identity=record.identity(),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=dict(record.headers),
            event_id=record.event_id,
            type_name=record.headers.get("ce_type"),
            reason=reason,
            detail=detail,
        )
        .on_conflict_do_update(
            index_elements=["identity"],
            set_={
                "attempts": table.c.attempts + 1,
                "last_seen_at": NOW,
                # What somebody has decided about the letter stands, however often the record is read again.
                "reason": case((waits, reason), else_=table.c.reason),
                "detail": case((waits, detail), else_=table.c.detail),
            },
        )
    )
    await session.execute(statement)
