"""The worker's part of a redrive: sends queued letters at the rate that was asked, and stops in time.

A run is only a tick: what is due is told by the tables, so late, doubled and missed ticks do no harm, and of
two workers one sends.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import and_, exists, func, insert, select, update

from service_kit.database import Database, ReadSession, Session
from service_kit.dead_letters import acting
from service_kit.dead_letters.tables import NOW, dead_letter_actions, dead_letter_redrives, dead_letters
from service_kit.inbox import inbox
from service_kit.telemetry import DEAD_LETTERS_WAITING

log = structlog.get_logger(__name__)

TICK_S = 1.0
"""Between two portions of a redrive."""
LOOK_S = 5.0
"""How often is looked for redrives, and counted what waits, when nobody rings."""
ON_THE_WAY_MAX = 40
"""With the failures below it stays under the number of dead letters in a row at which a consumer stops."""
FAILURES_AT_FIRST = 20
"""So many that come back while none was handled, and the cause is still there: the redrive stops itself."""
DECIDED_WITHIN_S = 60
"""A letter without news for so long does not hold up the others any more."""
BURST_S = 2.0
WORKER = acting.Actor(operator="worker")

_asked = dead_letter_redrives.c
_letters = dead_letters.c

RUNNING = select(_asked.id).where(_asked.state == "running")
WAITING_BY_REASON = (
    select(_letters.reason, func.count().label("number"))
    .where(_letters.state == "waiting")
    .group_by(_letters.reason)
)


@dataclass(frozen=True, slots=True)
class _Standing:
    on_the_way: int
    handled: int
    failed: int


async def send_due_letters(database: Database) -> bool:
    """One tick: a portion of each running redrive, and the figure of what waits. Answers whether any runs."""
    async with database.reading() as session:
        running = (await session.scalars(RUNNING)).all()
        waiting = {row.reason: row.number for row in await session.execute(WAITING_BY_REASON)}
    DEAD_LETTERS_WAITING.clear()
    for reason, number in waiting.items():
        DEAD_LETTERS_WAITING.labels(reason).set(number)
    for redrive_id in running:
        async with database.transaction() as session:
            await _send_a_portion(session, redrive_id)
    return bool(running)


async def _send_a_portion(session: Session, redrive_id: UUID) -> None:
    mine = and_(_asked.id == redrive_id, _asked.state == "running")
    query = select(_asked.rate_per_s, _asked.moved_at, func.clock_timestamp().label("now"))
    row = (await session.execute(query.where(mine).with_for_update(skip_locked=True))).first()
    if row is None:
        return
    standing = await _standing(session, redrive_id)
    if standing.failed >= FAILURES_AT_FIRST and not standing.handled:
        number = await acting.stop_redrive(
            session, redrive_id, WORKER, f"{standing.failed} came back, none acted"
        )
        log.error("redrive_stopped_itself", redrive_id=str(redrive_id), taken_back=number)
        return
    elapsed_s = min((row.now - row.moved_at).total_seconds(), BURST_S)
    portion = min(int(row.rate_per_s * elapsed_s), ON_THE_WAY_MAX - standing.on_the_way)
    if portion > 0:
        due = (
            select(dead_letters)
            .where(_letters.redrive_id == redrive_id, _letters.state == "queued")
            # In the order in which they were put aside, so that the facts of one key keep theirs.
            .order_by(_letters.first_seen_at, _letters.id)
            .limit(portion)
            .with_for_update()
        )
        rows = [dict(found) for found in (await session.execute(due)).mappings()]
        if rows:
            await acting.send(session, rows)
            sent = [
                {"letter_id": found["id"], "redrive_id": redrive_id, "action": "send", "operator": "worker"}
                for found in rows
            ]
            await session.execute(insert(dead_letter_actions), sent)
            await session.execute(update(dead_letter_redrives).where(mine).values(moved_at=NOW))
            return
    left = exists().where(_letters.redrive_id == redrive_id, _letters.state == "queued")
    if not await session.scalar(select(left)) and not standing.on_the_way:
        await session.execute(update(dead_letter_redrives).where(mine).values(state="done"))
        log.info("redrive_done", redrive_id=str(redrive_id), handled=standing.handled, failed=standing.failed)


async def _standing(session: ReadSession, redrive_id: UUID) -> _Standing:
    acted = exists().where(inbox.c.event_id == _letters.event_id)
    lately = func.clock_timestamp() - _letters.sent_at < timedelta(seconds=DECIDED_WITHIN_S)
    sent = _letters.state == "redriven"
    query = select(
        func.count().filter(and_(sent, ~acted, lately)),
        func.count().filter(and_(sent, acted)),
        func.count().filter(_letters.state == "waiting"),
    ).where(_letters.redrive_id == redrive_id)
    return _Standing(*(await session.execute(query)).one())
