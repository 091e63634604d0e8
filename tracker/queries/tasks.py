"""Reading tasks and their history."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, time
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Integer,
    Result,
    Row,
    Select,
    Uuid,
    any_,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)

from service_kit.context import clock, settings
from service_kit.database import ReadSession
from service_kit.paging import Page, PageRequest
from tracker.domain import Status, TaskFilter, TaskNotFound
from tracker.models import ELIGIBLE, Account, Task, TaskHistory, TaskSearch
from tracker.queries.searching import found_ids, is_searched
from tracker.settings import TrackerSettings

DONE_TODAY_SHOWN_MAX = 100
WORKERS_SHOWN_MAX = 200
SAME_KEY_SHOWN_MAX = 5
EXPORT_CHUNK = 2000

S = TypeVar("S")

TaskRow = Row[Any]
"""Every column of a task, under its name."""


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


# Columns and no objects: nothing that is listed is changed, and half of the time would go into making them.
TASKS = select(*Task.__table__.c)
LINES = select(*(Task.__table__.c[name] for name in TaskLine._fields))

NARROWED_BY = {
    "status": Task.status == bindparam("status"),
    "assignee_id": Task.assignee_id == bindparam("assignee_id"),
    "before": Task.id < bindparam("before"),
    "found": Task.id == any_(bindparam("found", type_=ARRAY(Uuid))),
}
"""What a list can be narrowed by, as conditions on parameters."""

# The state is written out, so that a plan for any parameters can use the index of what is done.
DONE = LINES.where(
    Task.assignee_id == bindparam("assignee_id"), Task.status == literal_column(f"'{Status.DONE}'")
).order_by(Task.completed_at.desc(), Task.id.desc())
DONE_SINCE = DONE.where(Task.completed_at >= bindparam("since")).limit(DONE_TODAY_SHOWN_MAX)

# One array is read in a fifth of the time that so many rows take.
WORKERS = select(
    func.array(
        select(Account.id).where(ELIGIBLE).order_by(Account.id).limit(WORKERS_SHOWN_MAX).scalar_subquery()
    )
)


async def task(session: ReadSession, task_id: UUID) -> Task:
    """Read one task. Raises `TaskNotFound`."""
    found = await session.get(Task, task_id)
    if found is None:
        raise TaskNotFound
    return found


async def tasks(session: ReadSession, page: PageRequest, wanted: TaskFilter | None = None) -> Page[TaskRow]:
    """List tasks with all columns of theirs, newest first."""
    rows = await _part(session, TASKS, page, wanted)
    return page.page(rows.all(), lambda row: (row.id,))


async def lines(session: ReadSession, page: PageRequest, wanted: TaskFilter | None = None) -> Page[TaskLine]:
    """List what lists show of tasks, newest first."""
    rows = _lines(await _part(session, LINES, page, wanted))
    return page.page(rows, lambda row: (row.id,))


async def _part(
    session: ReadSession, shown: Select[S], page: PageRequest, wanted: TaskFilter | None
) -> Result[S]:
    after = page.after(UUID)
    return await _newest(session, shown, wanted or TaskFilter(), page.limit + 1, after[0] if after else None)


async def _newest(
    session: ReadSession, shown: Select[S], wanted: TaskFilter, limit: int, before: UUID | None
) -> Result[S]:
    """The newest tasks that a filter shows, of those older than `before`."""
    given: dict[str, object] = {"status": wanted.status, "assignee_id": wanted.assignee_id}
    given = {name: value for name, value in given.items() if value is not None}
    if is_searched(wanted):
        listed = [getattr(Task, name) == value for name, value in given.items()]
        given = {"found": await found_ids(session, listed, wanted, before=before, limit=limit)}
    elif before is not None:
        given["before"] = before
    found: Result[S] = await session.execute(_list(shown, *given), given | {"limit": limit})
    return found


@lru_cache
def _list(shown: Select[S], *narrowed_by: str) -> Select[S]:
    """Put together once for each kind of list, as that takes longer than the database takes to answer it."""
    conditions = [NARROWED_BY[name] for name in narrowed_by]
    return shown.where(*conditions).order_by(Task.id.desc()).limit(bindparam("limit", type_=Integer))


def _lines(rows: Iterable[Any]) -> list[TaskLine]:
    return [TaskLine._make(row) for row in rows]


async def every_task(session: ReadSession, wanted: TaskFilter) -> AsyncIterator[Sequence[TaskRow]]:
    """All tasks that a filter shows, newest first, chunk by chunk."""
    last: UUID | None = None
    while True:
        chunk = (await _newest(session, TASKS, wanted, EXPORT_CHUNK, last)).all()
        if chunk:
            yield chunk
            last = chunk[-1].id
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
    statement = DONE.limit(page.limit + 1)
    if (after := page.after(datetime, UUID)) is not None:
        statement = statement.where(tuple_(Task.completed_at, Task.id) < tuple_(*after))
    rows = await session.execute(statement, {"assignee_id": assignee_id})
    return page.page(_lines(rows), lambda row: (row.completed_at, row.id))


async def done_today(session: ReadSession, assignee_id: UUID) -> Sequence[TaskLine]:
    """What somebody completed on the present business day, the latest first."""
    zone = settings(session, TrackerSettings).zone
    day_began = datetime.combine(clock(session).today(zone), time.min, zone)
    rows = await session.execute(DONE_SINCE, {"assignee_id": assignee_id, "since": day_began})
    return _lines(rows)


async def workers(session: ReadSession, *, besides: UUID | None = None) -> Sequence[UUID]:
    """Whom a list can be narrowed to: who may get tasks, and `besides` in any case."""
    listed: list[UUID] = await session.scalar(WORKERS) or []
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
