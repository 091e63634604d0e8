"""Reading distributions: what one would cost, how far it is, what came of it, and who has how much to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from service_kit.database import ReadSession
from service_kit.paging import Page, PageRequest
from tracker.domain import DistributionNotFound, DistributionStatus, Status
from tracker.models import ELIGIBLE, Account, Distribution, Task, TaskHistory

SHARES_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """What pressing Distribute now would mean."""

    open_tasks: int
    people: int
    fees_cents: int
    """Of those tasks that billing has priced."""

    unpriced: int


@dataclass(frozen=True, slots=True)
class Share:
    """How many tasks somebody has, or got."""

    account_id: UUID
    tasks: int


async def plan(session: ReadSession) -> Plan:
    priced = func.count(Task.fee_cents)
    row = (
        await session.execute(
            select(func.count(), priced, func.coalesce(func.sum(Task.fee_cents), 0)).where(
                Task.status == Status.OPEN
            )
        )
    ).one()
    people = await session.scalar(select(func.count()).select_from(Account).where(ELIGIBLE))
    return Plan(open_tasks=row[0], people=people or 0, fees_cents=int(row[2] or 0), unpriced=row[0] - row[1])


async def load(session: ReadSession) -> Sequence[Share]:
    """Open tasks of everybody who may get some or has some, most first."""
    counted = (
        select(Task.assignee_id, func.count().label("tasks"))
        .where(Task.status == Status.OPEN)
        .group_by(Task.assignee_id)
        .subquery()
    )
    eligible = select(Account.id).where(ELIGIBLE).subquery()
    account_id = func.coalesce(counted.c.assignee_id, eligible.c.id)
    tasks = func.coalesce(counted.c.tasks, 0)
    rows = await session.execute(
        select(account_id, tasks)
        .select_from(counted)
        .join(eligible, eligible.c.id == counted.c.assignee_id, full=True)
        .order_by(tasks.desc(), account_id)
        .limit(SHARES_SHOWN_MAX)
    )
    return [Share(row[0], row[1]) for row in rows]


async def shares(session: ReadSession, distribution_id: UUID) -> Sequence[Share]:
    """Who got how many of a distribution, most first."""
    tasks = func.count()
    rows = await session.execute(
        select(TaskHistory.assignee_id, tasks)
        .where(TaskHistory.distribution_id == distribution_id)
        .group_by(TaskHistory.assignee_id)
        .order_by(tasks.desc(), TaskHistory.assignee_id)
        .limit(SHARES_SHOWN_MAX)
    )
    return [Share(row[0], row[1]) for row in rows]


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
