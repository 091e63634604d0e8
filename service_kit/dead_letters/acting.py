"""What people do with dead letters. Every act leaves a line: who, what, when, and with what in its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, func, insert, literal, null, select, update

from service_kit import outbox
from service_kit.context import context
from service_kit.database import Session, notify_after_commit
from service_kit.dead_letters import places
from service_kit.dead_letters.reading import DeadLetterUnknown, RedriveUnknown, Wanted
from service_kit.dead_letters.tables import NOW, dead_letter_actions, dead_letter_redrives, dead_letters
from service_kit.errors import Conflict, Invalid
from service_kit.ids import new_id
from service_kit.text import message as _

REDRIVES_CHANNEL = "dead_letter_redrives"
RATE_DEFAULT = 20
RATE_MAX = 1000
NOTE_MAX = 500

_letters = dead_letters.c
SENDABLE = (
    func.coalesce(func.octet_length(func.coalesce(_letters.sent_value, _letters.value)), 0)
    + func.coalesce(func.octet_length(_letters.key), 0)
    + func.octet_length(cast(func.coalesce(_letters.sent_headers, _letters.headers), Text))
    <= places.SENT_BYTES_MAX
)
"""What is larger keeps waiting when many are sent again."""


class NotWaiting(Conflict):
    """Somebody else was faster, or the letter is already on its way."""

    code = "dead_letter_not_waiting"


class NotDiscarded(Conflict):
    code = "dead_letter_not_discarded"


class TooLargeToSend(Conflict):
    code = "dead_letter_too_large"


class NothingToDo(Conflict):
    code = "no_dead_letters_match"


class RedriveOver(Conflict):
    code = "redrive_over"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person on a page, or an operator at the command line, as the machine knows them."""

    guid: UUID | None = None
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class Repair:
    """What is sent instead of what came."""

    value: bytes
    headers: Mapping[str, str]

    @property
    def event_id(self) -> UUID | None:
        try:
            return UUID(self.headers.get("ce_id", ""))
        except ValueError:
            return None


async def redrive_one(session: Session, letter_id: UUID, by: Actor, repair: Repair | None = None) -> None:
    """Send the letter to its consumer again, as it came or repaired.

    Raises `DeadLetterUnknown`, `NotWaiting` for one that is on its way, was handled or was discarded, and
    `TooLargeToSend` for one that only just fitted the broker without our headers.
    """
    row = await _locked(session, letter_id)
    if row["state"] != "waiting":
        raise NotWaiting(_("This letter does not wait any more; look at what became of it."))
    changes: dict[str, Any] = {"redrive_id": None}
    if repair is not None:
        changes |= {
            "sent_value": repair.value,
            "sent_headers": dict(repair.headers),
            "event_id": repair.event_id,
            "type_name": repair.headers.get("ce_type"),
        }
        row = {**row, **changes}
    if _size(row) > places.SENT_BYTES_MAX:
        raise TooLargeToSend(_("It is too large to be sent again; repair it to be shorter."))
    await session.execute(update(dead_letters).where(_letters.id == letter_id).values(changes))
    await send(session, [row])
    acted = {"letter_id": letter_id, "action": "redrive" if repair is None else "repair", **_who(by)}
    if repair is not None:
        acted |= {"value": repair.value, "headers": dict(repair.headers)}
    await session.execute(insert(dead_letter_actions).values(acted))


async def send(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put letters into the outbox on their way back, and mark them as sent."""
    topic = places.redrive_topic(context(session).settings.name)
    for row in rows:
        kept = row["headers"] if row["sent_headers"] is None else row["sent_headers"]
        own = {name: value for name, value in kept.items() if name not in places.OURS}
        await outbox.publish_raw(
            session,
            topic=topic,
            # As it was put aside: bytes that are no text, and NUL, cannot stand in the outbox.
            key=(row["key"] or b"").decode(errors="replace").replace("\x00", "\N{REPLACEMENT CHARACTER}"),
            value=(row["value"] if row["sent_value"] is None else row["sent_value"]) or b"",
            headers={
                **own,
                places.LETTER: str(row["id"]),
                places.TOPIC: row["topic"],
                places.PARTITION: str(row["partition"]),
                places.OFFSET: str(row["offset"]),
            },
            occurred_at=datetime.now(UTC),
        )
    sent = update(dead_letters).where(_letters.id.in_([row["id"] for row in rows]))
    await session.execute(sent.values(state="redriven", sent_at=NOW))


async def redrive_many(session: Session, wanted: Wanted, by: Actor, rate_per_s: int = RATE_DEFAULT) -> UUID:
    """Queue every waiting letter that is meant; the worker sends them at this rate. Answers the redrive's id.

    Raises `NothingToDo` when none waits, `Invalid` for a rate out of bounds.
    """
    if not 1 <= rate_per_s <= RATE_MAX:
        raise Invalid.of("rate_per_s", _("Between 1 and {most} letters a second.", most=RATE_MAX))
    redrive_id = new_id()
    asked = {"id": redrive_id, "reason": wanted.reason, "type_name": wanted.type_name, "total": 0}
    await session.execute(insert(dead_letter_redrives).values(**asked, rate_per_s=rate_per_s))
    queued = (
        update(dead_letters)
        .where(wanted.condition(), _letters.state == "waiting", SENDABLE)
        .values(state="queued", redrive_id=redrive_id, sent_at=None)
    )
    total = await _with_a_line_each(session, queued, by, "queue", redrive_id=redrive_id)
    if not total:
        raise NothingToDo(_("No letter of this kind waits."))
    mine = dead_letter_redrives.c.id == redrive_id
    await session.execute(update(dead_letter_redrives).where(mine).values(total=total))
    begun = {"redrive_id": redrive_id, "action": "redrive", "note": f"{total}", **_who(by)}
    await session.execute(insert(dead_letter_actions).values(begun))
    notify_after_commit(session, REDRIVES_CHANNEL)
    return redrive_id


async def stop_redrive(session: Session, redrive_id: UUID, by: Actor, because: str | None = None) -> int:
    """Take back what was not sent yet; answers how many. Raises `RedriveUnknown` or `RedriveOver`."""
    asked = dead_letter_redrives.c
    state = await session.scalar(select(asked.state).where(asked.id == redrive_id).with_for_update())
    if state is None:
        raise RedriveUnknown(_("There is no redrive of this number."))
    if state != "running":
        raise RedriveOver(_("This redrive is over."))
    taken_back = (
        update(dead_letters)
        .where(_letters.redrive_id == redrive_id, _letters.state == "queued")
        .values(state="waiting", redrive_id=None)
    )
    number = await _with_a_line_each(session, taken_back, by, "take_back", redrive_id=redrive_id)
    stopped = update(dead_letter_redrives).where(asked.id == redrive_id)
    await session.execute(stopped.values(state="stopped", stopped_because=because))
    ended = {"redrive_id": redrive_id, "action": "stop", "note": because, **_who(by)}
    await session.execute(insert(dead_letter_actions).values(ended))
    return number


async def discard(session: Session, wanted: Wanted, by: Actor, because: str) -> int:
    """Give up every waiting letter that is meant; they are kept and can be put back. Answers how many.

    Raises `Invalid` without a reason, `NothingToDo` when none waits.
    """
    because = because.strip()
    if not because or len(because) > NOTE_MAX:
        raise Invalid.of("because", _("Say why, in at most {most} characters.", most=NOTE_MAX))
    discarded = (
        update(dead_letters)
        .where(wanted.condition(), _letters.state == "waiting")
        .values(state="discarded", redrive_id=None)
    )
    number = await _with_a_line_each(session, discarded, by, "discard", note=because)
    if not number:
        raise NothingToDo(_("No letter of this kind waits."))
    return number


async def restore(session: Session, wanted: Wanted, by: Actor) -> int:
    """Let discarded letters wait again; answers how many. Raises `NothingToDo` when none is meant."""
    restored = (
        update(dead_letters).where(wanted.condition(), _letters.state == "discarded").values(state="waiting")
    )
    number = await _with_a_line_each(session, restored, by, "restore")
    if not number:
        raise NothingToDo(_("No letter of this kind was discarded."))
    return number


async def discard_one(session: Session, letter_id: UUID, by: Actor, because: str) -> None:
    """Raises `DeadLetterUnknown`, `NotWaiting`, or `Invalid` without a reason."""
    row = await _locked(session, letter_id)
    if row["state"] != "waiting":
        raise NotWaiting(_("This letter does not wait any more; look at what became of it."))
    await discard(session, Wanted(search=str(letter_id)), by, because)


async def restore_one(session: Session, letter_id: UUID, by: Actor) -> None:
    """Raises `DeadLetterUnknown` or `NotDiscarded`."""
    row = await _locked(session, letter_id)
    if row["state"] != "discarded":
        raise NotDiscarded(_("Only a discarded letter can be put back."))
    await restore(session, Wanted(search=str(letter_id)), by)


def _size(row: Mapping[str, Any]) -> int:
    value = row["value"] if row["sent_value"] is None else row["sent_value"]
    headers = row["headers"] if row["sent_headers"] is None else row["sent_headers"]
    return len(value or b"") + len(row["key"] or b"") + sum(len(n) + len(v) for n, v in headers.items())


async def _locked(session: Session, letter_id: UUID) -> Mapping[str, Any]:
    query = select(dead_letters).where(_letters.id == letter_id).with_for_update()
    row = (await session.execute(query)).mappings().first()
    if row is None:
        raise DeadLetterUnknown(_("There is no dead letter of this number."))
    return dict(row)


async def _with_a_line_each(
    session: Session,
    change: Any,
    by: Actor,
    action: str,
    *,
    redrive_id: UUID | None = None,
    note: str | None = None,
) -> int:
    """Change letters and write down the act for each of them, in one statement."""
    changed = change.returning(_letters.id).cte("changed")
    who = _who(by)
    lines = select(
        changed.c.id,
        literal(redrive_id, dead_letter_actions.c.redrive_id.type) if redrive_id else null(),
        literal(action),
        literal(who["actor_guid"], dead_letter_actions.c.actor_guid.type) if by.guid else null(),
        literal(who["operator"]) if by.operator else null(),
        literal(note) if note else null(),
    )
    names = ("letter_id", "redrive_id", "action", "actor_guid", "operator", "note")
    written = insert(dead_letter_actions).from_select(names, lines).returning(dead_letter_actions.c.id)
    counted = select(func.count()).select_from(written.cte("written"))
    return await session.scalar(counted) or 0


def _who(by: Actor) -> dict[str, Any]:
    return {"actor_guid": by.guid, "operator": by.operator}
