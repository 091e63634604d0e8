"""Facts on their way out: rows written in the same transaction as the change they tell of.

Lock or insert the aggregate first, publish after it: ids are drawn while the aggregate is held, so that they
follow the order of the facts of one key. The relay sends the rows in id order (see `service_kit.relay`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from pydantic.alias_generators import to_camel
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    bindparam,
    insert,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service_kit.context import context
from service_kit.database import Session, kit_metadata, notify_after_commit
from service_kit.events import Event
from service_kit.ids import new_id
from service_kit.rows import inserting, these
from service_kit.schema_client import Schema
from service_kit.telemetry import causation_id, correlation_id, current_traceparent

CHANNEL = "outbox"

NEXT_ID = "case when pg_current_xact_id() is null then null else nextval('outbox_id_seq') end"
"""The transaction gets its number before the row gets its id. The relay waits at a gap until every
transaction that was under way has ended; one that had an id and no number yet would slip through that net."""

outbox = Table(
    "outbox",
    kit_metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False, server_default=text(NEXT_ID)),
    Column("event_id", Uuid, nullable=False, index=True),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("schema_id", Integer, comment="absent: the value is sent as it is, without a frame"),
    Column("data", LargeBinary, nullable=False),
    Column("headers", JSONB, comment="replaces the event's own headers; only for raw records"),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("correlation_id", Text, index=True),
    Column("causation_id", Text),
    Column("traceparent", Text),
)


AT_ONCE = 2_000

ADD = inserting(
    outbox,
    *("event_id", "topic", "key", "name", "version", "schema_id", "data"),
    *("occurred_at", "correlation_id", "causation_id", "traceparent"),
    as_json=["data"],
)


class Outgoing(NamedTuple):
    """One fact in one or more versions of its contract, all under one event id."""

    facts: tuple[Event, ...]
    key: UUID | str
    occurred_at: datetime
    event_id: UUID | None = None
    """Given where it must be the same each time, for instance for a day that is closed again."""


async def publish(
    session: Session,
    *facts: Event,
    key: UUID | str,
    occurred_at: datetime,
    event_id: UUID | None = None,
) -> UUID:
    """Say one fact, in as many versions of its contract as are still read; answers its event id.

    Raises `SchemaViolation` when the data breaks the contract; nothing is written then.
    """
    event_id = event_id or new_id()
    await publish_many(session, [Outgoing(facts, key, occurred_at, event_id)])
    return event_id


async def publish_many(session: Session, items: Sequence[Outgoing]) -> None:
    """Say many facts in the given order, so many of them with one statement that memory stays small."""
    if not items:
        return
    # Asked once: a close says a hundred thousand facts inside one span.
    here = current_traceparent()
    # Pending changes of the aggregates must reach the database before the rows that tell of them.
    await session.flush()
    for first in range(0, len(items), AT_ONCE):
        part = items[first : first + AT_ONCE]
        await session.execute(ADD, these([row for item in part for row in _rows(session, item, here)]))
    notify_after_commit(session, CHANNEL)


def _given(names: tuple[str, ...], type_: Any) -> tuple[BindParameter[Any], ...]:
    return tuple(bindparam(f"said_{name}", type_=type_) for name in names)


FORM = _given(("topic", "name", "form"), Text) + _given(("version", "schema"), Integer)
"""The parameters of a statement that `saying` is a part of."""

SAID = (
    FORM
    + _given(("correlation", "causation", "traceparent"), Text)
    + _given(("at",), DateTime(timezone=True))
)
"""The same where all rows say it at one moment, for one reason."""


def saying(
    rows: str,
    *,
    event_id: str,
    key: str,
    blanks: str,
    at: str = ":said_at",
    correlation: str = ":said_correlation",
    causation: str = ":said_causation",
    traceparent: str = ":said_traceparent",
) -> str:
    """SQL that says one fact of each of `rows`, for a statement that makes these rows itself.

    For what is done so often or to so many that the facts shall not travel: they are put together in the
    database from a form (see `said`). `blanks` are the expressions that fill it, in the order of its fields.
    Whoever runs it rings `CHANNEL` after the commit.
    """
    return f"""
        INSERT INTO outbox (event_id, topic, key, name, version, schema_id, data, occurred_at,
            correlation_id, causation_id, traceparent)
        SELECT {event_id}, :said_topic, {key}::text, :said_name, :said_version, :said_schema,
            convert_to(format(:said_form, {blanks}), 'UTF8'), {at},
            {correlation}, {causation}, {traceparent}
        FROM {rows}
    """  # noqa: S608  names and expressions of the caller's statement


def moment_in_json(moment: str) -> str:
    """The expression of a moment as a blank of `saying`: RFC 3339 in UTC."""
    return f"""to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def form(session: Session, example: Event, fields: Sequence[str]) -> dict[str, object]:
    """What `saying` is given: a fact like the example, with blanks for the named fields, in that order.

    Raises `SchemaViolation` when the example breaks the contract. What the rows put in its place is not
    looked at: it has to be of the same kind, and neither empty nor in need of JSON's escapes.
    """
    schema, data = _checked(session, example)
    places = {to_camel(field): f"%{place}$s" for place, field in enumerate(fields, 1)}
    parts = []
    for name, value in orjson.loads(data).items():
        plain = orjson.dumps(value).decode().replace("%", "%%")
        blank = places.pop(name, None)
        if blank is not None:
            plain = f'"{blank}"' if isinstance(value, str) else blank
        parts.append(f'"{name}":{plain}')
    if places:
        raise ValueError(f"{example.name} has no {', '.join(places)}")
    return {
        "said_topic": example.topic,
        "said_name": example.name,
        "said_version": example.version,
        "said_schema": schema.id,
        "said_form": f"{{{','.join(parts)}}}",
    }


def said(
    session: Session, example: Event, fields: Sequence[str], *, occurred_at: datetime
) -> dict[str, object]:
    """A `form`, and when and why: now, by what the running request or handler does."""
    return form(session, example, fields) | {
        "said_at": occurred_at,
        "said_correlation": correlation_id.get(),
        "said_causation": causation_id.get(),
        "said_traceparent": current_traceparent(),
    }


async def publish_raw(
    session: Session, *, topic: str, key: str, value: bytes, headers: dict[str, str], occurred_at: datetime
) -> None:
    """Send bytes as they are, for instance a dead letter, whose value may be no JSON at all."""
    row = {
        "event_id": new_id(),
        "topic": topic,
        "key": key,
        "name": "",
        "version": 0,
        "schema_id": None,
        "data": value,
        "headers": headers,
        "occurred_at": occurred_at,
    }
    await session.execute(insert(outbox), [row])
    notify_after_commit(session, CHANNEL)


def _checked(session: Session, fact: Event) -> tuple[Schema, bytes]:
    """The contract of a fact and its JSON, which keeps to it. Raises `SchemaViolation`."""
    schema, data = context(session).schemas.of(type(fact)), fact.to_json()
    schema.refuse_invalid(orjson.loads(data))
    return schema, data


def _rows(session: Session, item: Outgoing, here: str | None) -> list[dict[str, Any]]:
    event_id = item.event_id or new_id()
    rows = []
    for fact in item.facts:
        schema, data = _checked(session, fact)
        rows.append(
            {
                "event_id": event_id,
                "topic": fact.topic,
                "key": item.key,
                "name": fact.name,
                "version": fact.version,
                "schema_id": schema.id,
                "data": orjson.Fragment(data),
                "occurred_at": item.occurred_at,
                "correlation_id": correlation_id.get(),
                "causation_id": causation_id.get(),
                "traceparent": here,
            }
        )
    return rows
