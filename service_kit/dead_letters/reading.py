"""What is asked about dead letters: lists, groups by reason, one letter with its history, redrives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, and_, case, exists, func, literal, or_, select, tuple_

from service_kit.database import ReadSession
from service_kit.dead_letters.tables import dead_letter_actions, dead_letter_redrives, dead_letters
from service_kit.errors import NotFound
from service_kit.inbox import inbox
from service_kit.paging import Page, PageRequest
from service_kit.text import message as _

Standing = Literal["waiting", "queued", "redriven", "handled", "discarded"]
STANDINGS: tuple[Standing, ...] = get_args(Standing)
ON_ITS_WAY = frozenset[Standing]({"queued", "redriven"})
"""What comes of it is not known yet."""

_letters = dead_letters.c
_acted = exists().where(inbox.c.event_id == _letters.event_id).correlate(dead_letters)
STANDING: ColumnElement[str] = case(
    (and_(_letters.state == "redriven", _acted), literal("handled")), else_=_letters.state
)
"""Whether a letter that was sent again has acted is told by the inbox, in which its effect put it."""

_COLUMNS = [
    *(_letters[name] for name in ("id", "topic", "partition", "offset", "key", "event_id", "type_name")),
    *(_letters[name] for name in ("reason", "detail", "attempts", "first_seen_at", "last_seen_at")),
    STANDING.label("standing"),
]


class DeadLetterUnknown(NotFound):
    code = "dead_letter_unknown"


class RedriveUnknown(NotFound):
    code = "redrive_unknown"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant; what is None does not narrow."""

    standing: Standing | None = None
    reason: str | None = None
    type_name: str | None = None
    search: str | None = None
    """Letter, event, redrive or correlation id, or the key of the event."""

    def condition(self) -> ColumnElement[bool]:
        found: list[ColumnElement[bool]] = []
        if self.standing in {"redriven", "handled"}:
            found += [_letters.state == "redriven", _acted if self.standing == "handled" else ~_acted]
        elif self.standing is not None:
            found.append(_letters.state == self.standing)
        if self.reason is not None:
            found.append(_letters.reason == self.reason)
        if self.type_name is not None:
            found.append(_letters.type_name == self.type_name)
        if self.search:
            found.append(_matches(self.search))
        return and_(literal(value=True), *found)


@dataclass(frozen=True, slots=True)
class Line:
    """A letter as lists show it."""

    id: UUID
    topic: str
    partition: int
    offset: int
    key: str
    event_id: UUID | None
    type_name: str | None
    reason: str
    detail: str
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime
    standing: Standing


@dataclass(frozen=True, slots=True)
class Group:
    """Letters that wait for the same reason."""

    reason: str
    type_name: str | None
    count: int
    first_seen_at: datetime
    last_seen_at: datetime
    example: str
    """Detail of one of them."""


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did with a letter, or what became of it."""

    action: str
    actor_guid: UUID | None
    operator: str | None
    at: datetime
    note: str | None


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter with all of its bytes."""

    line: Line
    value: bytes
    """As it came."""
    headers: Mapping[str, str]
    sent_value: bytes | None
    """As it was sent again last, where it was repaired."""
    sent_headers: Mapping[str, str] | None
    sent_at: datetime | None
    handled_at: datetime | None
    redrive_id: UUID | None
    acts: Sequence[Act]

    @property
    def newest_value(self) -> bytes:
        return self.value if self.sent_value is None else self.sent_value

    @property
    def newest_headers(self) -> Mapping[str, str]:
        return self.headers if self.sent_headers is None else self.sent_headers


@dataclass(frozen=True, slots=True)
class Redrive:
    """How far a redrive of many has come."""

    id: UUID
    asked_at: datetime
    actor_guid: UUID | None
    operator: str | None
    reason: str | None
    type_name: str | None
    rate_per_s: int
    total: int
    state: Literal["running", "done", "stopped"]
    stopped_because: str | None
    queued: int
    on_the_way: int
    handled: int
    failed: int

    @property
    def sent(self) -> int:
        return self.on_the_way + self.handled + self.failed


async def letters(session: ReadSession, wanted: Wanted, page: PageRequest) -> Page[Line]:
    """The newest first."""
    query = select(*_COLUMNS).where(wanted.condition())
    if (after := page.after(datetime, UUID)) is not None:
        query = query.where(tuple_(_letters.last_seen_at, _letters.id) < tuple_(*map(literal, after)))
    query = query.order_by(_letters.last_seen_at.desc(), _letters.id.desc()).limit(page.limit + 1)
    rows = (await session.execute(query)).mappings().all()
    return page.page([_line(row) for row in rows], lambda line: (line.last_seen_at, line.id))


async def count(session: ReadSession, wanted: Wanted) -> int:
    found = await session.scalar(select(func.count()).select_from(dead_letters).where(wanted.condition()))
    return found or 0


async def counts(session: ReadSession) -> dict[Standing, int]:
    """How many letters there are of each standing."""
    query = select(STANDING.label("standing"), func.count().label("number")).group_by(STANDING)
    found = {row.standing: row.number for row in await session.execute(query)}
    return {standing: found.get(standing, 0) for standing in STANDINGS}


async def groups(session: ReadSession) -> list[Group]:
    """Waiting letters by reason and type of event, the largest group first."""
    newest = func.max(_letters.last_seen_at)
    query = (
        select(
            _letters.reason,
            _letters.type_name,
            func.count().label("number"),
            func.min(_letters.first_seen_at).label("first_seen_at"),
            newest.label("last_seen_at"),
            func.max(_letters.detail).label("example"),
        )
        .where(_letters.state == "waiting")
        .group_by(_letters.reason, _letters.type_name)
        .order_by(func.count().desc(), newest.desc())
    )
    return [
        Group(row.reason, row.type_name, row.number, row.first_seen_at, row.last_seen_at, row.example)
        for row in await session.execute(query)
    ]


async def kinds(session: ReadSession) -> tuple[list[str], list[str]]:
    """Reasons and types of event that there are letters of, to choose from."""
    query = select(_letters.reason, _letters.type_name).distinct()
    rows = (await session.execute(query)).all()
    return (
        sorted({row.reason for row in rows}),
        sorted({row.type_name for row in rows if row.type_name is not None}),
    )


async def letter(session: ReadSession, letter_id: UUID) -> Letter:
    """Raises `DeadLetterUnknown`."""
    bytes_and_more = (
        *(_letters.value, _letters.headers, _letters.sent_value, _letters.sent_headers),
        *(_letters.sent_at, _letters.redrive_id, inbox.c.processed_at),
    )
    query = (
        select(*_COLUMNS, *bytes_and_more)
        .select_from(dead_letters.outerjoin(inbox, inbox.c.event_id == _letters.event_id))
        .where(_letters.id == letter_id)
    )
    row = (await session.execute(query)).mappings().first()
    if row is None:
        raise DeadLetterUnknown(_("There is no dead letter of this number."))
    return Letter(
        line=_line(row),
        value=row["value"] or b"",
        headers=row["headers"],
        sent_value=row["sent_value"],
        sent_headers=row["sent_headers"],
        sent_at=row["sent_at"],
        handled_at=row["processed_at"],
        redrive_id=row["redrive_id"],
        acts=await _acts(session, letter_id),
    )


async def _acts(session: ReadSession, letter_id: UUID) -> list[Act]:
    acts = dead_letter_actions.c
    query = (
        select(acts.action, acts.actor_guid, acts.operator, acts.at, acts.note)
        .where(acts.letter_id == letter_id)
        .order_by(acts.id)
    )
    return [Act(**row) for row in (await session.execute(query)).mappings()]


async def redrive(session: ReadSession, redrive_id: UUID) -> Redrive:
    """Raises `RedriveUnknown`."""
    found = await _redrives(session, dead_letter_redrives.c.id == redrive_id, limit=1)
    if not found:
        raise RedriveUnknown(_("There is no redrive of this number."))
    return found[0]


async def running_redrives(session: ReadSession) -> list[Redrive]:
    return await _redrives(session, dead_letter_redrives.c.state == "running", limit=20)


async def latest_redrives(session: ReadSession, limit: int = 5) -> list[Redrive]:
    return await _redrives(session, literal(value=True), limit=limit)


async def _redrives(session: ReadSession, which: ColumnElement[bool], *, limit: int) -> list[Redrive]:
    asked, acts = dead_letter_redrives.c, dead_letter_actions.c

    def number(condition: ColumnElement[bool]) -> ColumnElement[int]:
        mine = and_(_letters.redrive_id == asked.id, condition)
        return select(func.count()).select_from(dead_letters).where(mine).scalar_subquery()

    begun = and_(acts.redrive_id == asked.id, acts.letter_id.is_(None), acts.action == "redrive")
    query = (
        select(
            *(asked.id, asked.asked_at, acts.actor_guid, acts.operator, asked.reason, asked.type_name),
            *(asked.rate_per_s, asked.total, asked.state, asked.stopped_because),
            number(_letters.state == "queued").label("queued"),
            number(and_(_letters.state == "redriven", ~_acted)).label("on_the_way"),
            number(and_(_letters.state == "redriven", _acted)).label("handled"),
            # What came back waits again; what was taken back is no part of the redrive any more.
            number(_letters.state == "waiting").label("failed"),
        )
        .select_from(dead_letter_redrives.outerjoin(dead_letter_actions, begun))
        .where(which)
        .order_by(asked.asked_at.desc(), asked.id.desc())
        .limit(limit)
    )
    return [Redrive(**row) for row in (await session.execute(query)).mappings()]


def _matches(search: str) -> ColumnElement[bool]:
    wanted = search.strip()
    found = [
        _letters.key == wanted.encode(),
        _letters.headers["correlationid"].astext == wanted,
        _letters.headers["ce_subject"].astext == wanted,
    ]
    try:
        number = UUID(wanted)
    except ValueError:
        pass
    else:
        found += [_letters.id == number, _letters.event_id == number, _letters.redrive_id == number]
    return or_(*found)


def _line(row: RowMapping) -> Line:
    return Line(
        **{name: row[name] for name in ("id", "topic", "partition", "offset", "event_id", "type_name")},
        **{name: row[name] for name in ("reason", "detail", "attempts", "first_seen_at", "last_seen_at")},
        key=(row["key"] or b"").decode(errors="replace"),
        standing=row["standing"],
    )
