"""Reading tasks and their history."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, time
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_

from service_kit.context import clock, settings
from service_kit.database import ReadSession
from service_kit.paging import Page, PageRequest
from service_kit.rows import any_of
from tracker.domain import Status, TaskFilter, TaskNotFound
from tracker.models import ELIGIBLE, Account, Task, TaskHistory, TaskSearch
from tracker.queries.searching import found_ids, is_searched
from tracker.settings import TrackerSettings

DONE_TODAY_SHOWN_MAX = 100
WORKERS_SHOWN_MAX = 200
SAME_KEY_SHOWN_MAX = 5
EXPORT_CHUNK = 2000

S = TypeVar("S")


class TaskLine(NamedTuple):
    """What a list shows of a task."""

    id: UUID
    title: str
    jira_id: str | None
    status: str
    assignee_id: UUID
    cycle: int
    version: int
    created_at: datetime
    assigned_at: datetime
    completed_at: datetime | None
    fee_cents: int | None
    reward_cents: int | None


LINE = tuple(Task.__table__.c[name] for name in TaskLine._fields)


async def task(session: ReadSession, task_id: UUID) -> Task:
    """Read one task. Raises `TaskNotFound`."""
    found = await session.get(Task, task_id)
    if found is None:
        raise TaskNotFound
    return found


async def tasks(session: ReadSession, page: PageRequest, wanted: TaskFilter | None = None) -> Page[Task]:
    """List tasks with all they say, newest first."""
    rows = await session.scalars(await _part(session, select(Task), page, wanted))
    return page.page(rows.all(), lambda row: (row.id,))


async def lines(session: ReadSession, page: PageRequest, wanted: TaskFilter | None = None) -> Page[TaskLine]:
    """List what lists show of tasks, newest first."""
    rows = _lines(await session.execute(await _part(session, select(*LINE), page, wanted)))
    return page.page(rows, lambda row: (row.id,))


async def _part(
    session: ReadSession, statement: Select[S], page: PageRequest, wanted: TaskFilter | None
) -> Select[S]:
    after = page.after(UUID)
    return await _narrowed(session, statement, wanted, page.limit + 1, after[0] if after else None)


async def _narrowed(
    session: ReadSession, statement: Select[S], wanted: TaskFilter | None, limit: int, before: UUID | None
) -> Select[S]:
    """The newest tasks that a filter shows, of those older than `before`."""
    wanted = wanted or TaskFilter()
    listed = []
    if wanted.status is not None:
        listed.append(Task.status == wanted.status)
    if wanted.assignee_id is not None:
        listed.append(Task.assignee_id == wanted.assignee_id)
    if is_searched(wanted):
        ids = await found_ids(session, listed, wanted, before=before, limit=limit)
        listed = [Task.id == any_of(ids)]
    elif before is not None:
        listed.append(Task.id < before)
    return statement.where(*listed).order_by(Task.id.desc()).limit(limit)


def _lines(rows: Iterable[Any]) -> list[TaskLine]:
    return [TaskLine._make(row) for row in rows]


async def every_task(session: ReadSession, wanted: TaskFilter) -> AsyncIterator[Sequence[Task]]:
    """All tasks that a filter shows, newest first, chunk by chunk."""
    last: UUID | None = None
    while True:
        statement = await _narrowed(session, select(Task), wanted, EXPORT_CHUNK, last)
        chunk = (await session.scalars(statement)).all()
        if chunk:
            yield chunk
            last = chunk[-1].id
            session.expunge_all()
        if len(chunk) < EXPORT_CHUNK:
            return


async def open_with_key(session: ReadSession, jira_id: str | None) -> Sequence[Task]:
    """Open tasks that carry this key already, the newest first."""
    if not jira_id:
        return []
    same = select(TaskSearch.task_id).where(TaskSearch.jira_id == jira_id.strip().upper())
    rows = await session.scalars(
        select(Task)
        .where(Task.id.in_(same), Task.status == Status.OPEN)
        .order_by(Task.id.desc())
        .limit(SAME_KEY_SHOWN_MAX)
    )
    return rows.all()


async def done(session: ReadSession, assignee_id: UUID, page: PageRequest) -> Page[TaskLine]:
    """What somebody has ever completed, the latest first."""
    statement = select(*LINE).where(Task.assignee_id == assignee_id, Task.status == Status.DONE)
    if (after := page.after(datetime, UUID)) is not None:
        statement = statement.where(tuple_(Task.completed_at, Task.id) < tuple_(*after))
    rows = await session.execute(
        statement.order_by(Task.completed_at.desc(), Task.id.desc()).limit(page.limit + 1)
    )
    return page.page(_lines(rows), lambda row: (row.completed_at, row.id))


async def done_today(session: ReadSession, assignee_id: UUID) -> Sequence[TaskLine]:
    """What somebody completed on the present business day, the latest first."""
    zone = settings(session, TrackerSettings).zone
    day_began = datetime.combine(clock(session).today(zone), time.min, zone)
    rows = await session.execute(
        select(*LINE)
        .where(Task.assignee_id == assignee_id, Task.status == Status.DONE, Task.completed_at >= day_began)
        .order_by(Task.completed_at.desc(), Task.id.desc())
        .limit(DONE_TODAY_SHOWN_MAX)
    )
    return _lines(rows)


async def workers(session: ReadSession, *, besides: UUID | None = None) -> Sequence[UUID]:
    """Whom a list can be narrowed to: who may get tasks, and `besides` in any case."""
    found = await session.scalars(
        select(Account.id).where(ELIGIBLE).order_by(Account.id).limit(WORKERS_SHOWN_MAX)
    )
    listed = list(found)
    return listed if besides is None or besides in listed else [*listed, besides]


async def eligible_count(session: ReadSession) -> int:
    """How many may get tasks."""
    return await session.scalar(select(func.count()).select_from(Account).where(ELIGIBLE)) or 0


async def history(session: ReadSession, task_id: UUID, page: PageRequest) -> Page[TaskHistory]:
    """What happened to a task, from its beginning. Raises `TaskNotFound`."""
    await task(session, task_id)
    statement = select(TaskHistory).where(TaskHistory.task_id == task_id)
    if (after := page.after(UUID)) is not None:
        statement = statement.where(TaskHistory.id > after[0])
    rows = await session.scalars(statement.order_by(TaskHistory.id).limit(page.limit + 1))
    return page.page(rows.all(), lambda row: (row.id,))
