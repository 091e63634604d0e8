"""What this service has said, heard, put aside and decided of an event, a key or a correlation."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

import orjson
from sqlalchemy import and_, or_, select

from service_kit.database import ReadSession
from service_kit.dead_letters.reading import Act
from service_kit.dead_letters.tables import dead_letter_actions, dead_letters
from service_kit.events import type_name
from service_kit.ids import id_in
from service_kit.inbox import inbox
from service_kit.outbox import outbox
from service_kit.rows import any_of

MOST = 200
"""Rows of each kind that are read for one question; a key such as a person may have thousands."""

SHOWN_BYTES = 20_000

HopKind = Literal["said", "sent", "acted", "aside", "decided", "booked"]
ORDER: tuple[HopKind, ...] = ("said", "sent", "acted", "aside", "decided", "booked")


@dataclass(frozen=True, slots=True)
class Hop:
    """One station: when by the machine's own clock, what happened, and to which event."""

    at: datetime
    kind: HopKind
    event_id: UUID | None
    name: str
    """The event's type; of a booking, what was booked."""
    ref: str
    """What tells this hop from the service's others."""
    key: str = ""
    place: str = ""
    detail: str = ""
    letter_id: UUID | None = None
    act: Act | None = None
    """What was done with the letter."""
    payload: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def order(self) -> int:
        return ORDER.index(self.kind)


@dataclass(slots=True)
class Way:
    """The hops in the order of time; `cut` when there was more than is read at once."""

    hops: list[Hop] = field(default_factory=list)
    cut: bool = False

    @property
    def events(self) -> set[UUID]:
        return {hop.event_id for hop in self.hops if hop.event_id is not None}


async def way_of(session: ReadSession, wanted: str, events: Collection[UUID] = ()) -> Way:
    """Everything of these events, and of what has `wanted` as event id, key or correlation id."""
    way = Way()
    named = id_in(wanted)
    ids = {*events, named} if named is not None else {*events}
    heard = await _heard(session, wanted, ids, way)
    ids |= {row for row, _correlation in heard}
    await _said(session, wanted, ids, {correlation for _row, correlation in heard if correlation}, way)
    ids |= way.events
    await _put_aside(session, ids, way)
    await _decided(session, ids, way)
    way.hops.sort(key=lambda hop: (hop.at, hop.order))
    return way


async def _heard(
    session: ReadSession, wanted: str, ids: Collection[UUID], way: Way
) -> list[tuple[UUID, str | None]]:
    columns = inbox.c
    found = await session.execute(
        select(inbox)
        .where(or_(columns.event_id == any_of(ids), columns.key == wanted, columns.correlation_id == wanted))
        .order_by(columns.processed_at)
        .limit(MOST + 1)
    )
    rows = found.all()
    way.cut |= len(rows) > MOST
    for row in rows[:MOST]:
        name = type_name(row.topic, row.name, row.version)
        place = _place(row.topic, row.partition, row.offset)
        ref = str(row.event_id)
        way.hops.append(Hop(row.sent_at, "sent", row.event_id, name, f"sent-{ref}", row.key, place))
        way.hops.append(Hop(row.processed_at, "acted", row.event_id, name, f"acted-{ref}", row.key, place))
    return [(row.event_id, row.correlation_id) for row in rows[:MOST]]


async def _said(
    session: ReadSession, wanted: str, ids: Collection[UUID], correlations: Collection[str], way: Way
) -> None:
    columns = outbox.c
    # What followed from an event carries its correlation, by which there is an index.
    followed = and_(
        columns.correlation_id.in_(correlations), columns.causation_id.in_([str(found) for found in ids])
    )
    found = await session.execute(
        select(outbox)
        .where(
            or_(
                columns.event_id == any_of(ids),
                columns.key == wanted,
                columns.correlation_id == wanted,
                followed,
            )
        )
        .order_by(columns.id)
        .limit(MOST + 1)
    )
    rows = found.all()
    way.cut |= len(rows) > MOST
    for row in rows[:MOST]:
        told = {
            "ce_id": row.event_id,
            "ce_time": row.occurred_at.isoformat(),
            "ce_subject": row.key,
            "schema id": row.schema_id,
            "correlationid": row.correlation_id,
            "causationid": row.causation_id,
            "traceparent": row.traceparent,
        }
        way.hops.append(
            Hop(
                row.recorded_at,
                "said",
                row.event_id,
                type_name(row.topic, row.name, row.version),
                f"said-{row.id}",
                row.key,
                row.topic,
                payload=_readable(row.data),
                attributes=tuple((name, str(value)) for name, value in told.items() if value is not None),
            )
        )


async def _put_aside(session: ReadSession, ids: Collection[UUID], way: Way) -> None:
    columns = dead_letters.c
    found = await session.execute(
        select(dead_letters)
        .where(columns.event_id == any_of(ids))
        .order_by(columns.first_seen_at)
        .limit(MOST)
    )
    for row in found:
        way.hops.append(
            Hop(
                row.first_seen_at,
                "aside",
                row.event_id,
                row.type_name or "",
                f"aside-{row.id}",
                (row.key or b"").decode(errors="replace"),
                _place(row.topic, row.partition, row.offset),
                f"{row.reason}: {row.detail}",
                row.id,
            )
        )


async def _decided(session: ReadSession, ids: Collection[UUID], way: Way) -> None:
    """What people did with dead letters, and that they came back."""
    acts, letters = dead_letter_actions.c, dead_letters.c
    found = await session.execute(
        select(dead_letter_actions, letters.event_id, letters.type_name)
        .join(dead_letters, letters.id == acts.letter_id)
        .where(letters.event_id == any_of(ids))
        .order_by(acts.id)
        .limit(MOST)
    )
    for row in found:
        act = Act(row.action, row.actor_guid, row.operator, row.at, row.note)
        way.hops.append(
            Hop(
                act.at,
                "decided",
                row.event_id,
                row.type_name or "",
                f"decided-{row.id}",
                detail=act.note or "",
                act=act,
            )
        )


def _place(topic: str, partition: int, offset: int) -> str:
    return f"{topic} [{partition}] @{offset}"


def _readable(data: bytes) -> str:
    """The value as people read JSON, or as it stands where it is none; the beginning of a long one."""
    try:
        text = orjson.dumps(orjson.loads(data), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        text = data.decode(errors="replace")
    return text[:SHOWN_BYTES]
