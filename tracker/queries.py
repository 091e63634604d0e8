"""Every read of the tracker."""

from collections.abc import Sequence
from datetime import datetime, time
from uuid import UUID

from sqlalchemy import func, or_, select

from service_kit.context import clock, settings
from service_kit.database import ReadSession
from service_kit.paging import Page, PageRequest
from tracker.domain import DistributionNotFound, DistributionStatus, Status, TaskNotFound, searched_text
from tracker.models import ELIGIBLE, Account, Distribution, Task, TaskHistory
from tracker.settings import TrackerSettings

DONE_TODAY_SHOWN_MAX = 100
WORKERS_SHOWN_MAX = 200


async def task(session: ReadSession, task_id: UUID) -> Task:
    """Read one task. Raises `TaskNotFound`."""
    found = await session.get(Task, task_id)
    if found is None:
        raise TaskNotFound
    return found


async def tasks(
    session: ReadSession,
    page: PageRequest,
    *,
    status: Status | None = None,
    assignee_id: UUID | None = None,
    search: str | None = None,
) -> Page[Task]:
    """List tasks, newest first."""
    statement = select(Task)
    if status is not None:
        statement = statement.where(Task.status == status)
    if assignee_id is not None:
        statement = statement.where(Task.assignee_id == assignee_id)
    if text := searched_text(search):
        statement = statement.where(
            or_(Task.title.icontains(text, autoescape=True), Task.jira_id.istartswith(text, autoescape=True))
        )
    if (after := page.after(UUID)) is not None:
        statement = statement.where(Task.id < after[0])
    rows = await session.scalars(statement.order_by(Task.id.desc()).limit(page.limit + 1))
    return page.page(rows.all(), lambda row: (row.id,))


async def done_today(session: ReadSession, assignee_id: UUID) -> Sequence[Task]:
    """What somebody completed on the present business day, the latest first."""
    zone = settings(session, TrackerSettings).zone
    day_began = datetime.combine(clock(session).today(zone), time.min, zone)
    rows = await session.scalars(
        select(Task)
        .where(Task.assignee_id == assignee_id, Task.status == Status.DONE, Task.completed_at >= day_began)
        .order_by(Task.completed_at.desc())
        .limit(DONE_TODAY_SHOWN_MAX)
    )
    return rows.all()


async def workers(session: ReadSession, *, besides: UUID | None = None) -> Sequence[UUID]:
    """Whom a list can be narrowed to: who may get tasks, and `besides` in any case."""
    found = await session.scalars(
        select(Account.id).where(ELIGIBLE).order_by(Account.id).limit(WORKERS_SHOWN_MAX)
    )
    listed = list(found)
    return listed if besides is None or besides in listed else [*listed, besides]


async def open_tasks_count(session: ReadSession) -> int:
    return await session.scalar(select(func.count()).where(Task.status == Status.OPEN)) or 0


async def history(session: ReadSession, task_id: UUID, page: PageRequest) -> Page[TaskHistory]:
    """What happened to a task, from its beginning. Raises `TaskNotFound`."""
    await task(session, task_id)
    statement = select(TaskHistory).where(TaskHistory.task_id == task_id)
    if (after := page.after(UUID)) is not None:
        statement = statement.where(TaskHistory.id > after[0])
    rows = await session.scalars(statement.order_by(TaskHistory.id).limit(page.limit + 1))
    return page.page(rows.all(), lambda row: (row.id,))


async def distribution(session: ReadSession, distribution_id: UUID) -> Distribution:
    """Read one distribution. Raises `DistributionNotFound`."""
    found = await session.get(Distribution, distribution_id)
    if found is None:
        raise DistributionNotFound
    return found


async def distributions(session: ReadSession, page: PageRequest) -> Page[Distribution]:
    """List distributions, the latest first."""
    statement = select(Distribution)
    if (after := page.after(UUID)) is not None:
        statement = statement.where(Distribution.id < after[0])
    rows = await session.scalars(statement.order_by(Distribution.id.desc()).limit(page.limit + 1))
    return page.page(rows.all(), lambda row: (row.id,))


async def running_distribution(session: ReadSession) -> Distribution | None:
    found: Distribution | None = await session.scalar(
        select(Distribution).where(Distribution.status == DistributionStatus.RUNNING)
    )
    return found
