"""Finding tasks by words, keys and dates at a bounded price, however many tasks there are and match.

What is common stands near the top of any list, so the list itself is walked first, for a stretch of fixed
length. Only what is not found there is asked of the indexes of words, keys and dates, whose price grows with
their hits: it is rare then, or lies far back.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select

from service_kit.database import ReadSession
from tracker.domain import TaskFilter, searched_text
from tracker.models import Task, TaskSearch

LOOKED_THROUGH_PER_HIT = 40
"""Rows of the list that are looked at for each one that is wanted. One costs 1.5 microseconds."""


def is_searched(wanted: TaskFilter) -> bool:
    """Whether a filter asks for more than the list's own index can tell."""
    return bool(searched_text(wanted.search) or wanted.created_from or wanted.created_before)


async def found_ids(
    session: ReadSession,
    listed: Sequence[ColumnElement[bool]],
    wanted: TaskFilter,
    *,
    before: UUID | None,
    limit: int,
) -> Sequence[UUID]:
    """The newest tasks of a list that a filter finds, `limit` at most and older than `before`.

    `listed` are the conditions of the list that the tasks themselves tell.
    """
    if before is not None:
        listed = [*listed, Task.id < before]
    window = limit * LOOKED_THROUGH_PER_HIT
    near = select(Task.id).where(*listed).order_by(Task.id.desc()).limit(window).cte("near")
    # A scalar of each row and no join: a plan that begins with the index of words would read all its hits.
    matches = (
        select(_sought(wanted, once=True))
        .where(TaskSearch.task_id == near.c.id)
        .correlate(near)
        .scalar_subquery()
    )
    hits = select(near.c.id).where(matches).order_by(near.c.id.desc()).limit(limit)
    looked_through = select(func.count()).select_from(near).scalar_subquery()
    row = (await session.execute(select(looked_through, func.array(hits.scalar_subquery())))).one()
    if len(row[1]) == limit or row[0] < window:
        ids: Sequence[UUID] = row[1]
        return ids
    far = (
        select(TaskSearch.task_id).where(_sought(wanted)).order_by(TaskSearch.task_id.desc()).subquery("far")
    )
    found = await session.scalars(
        select(Task.id)
        .join(far, far.c.task_id == Task.id)
        .where(*listed)
        .order_by(far.c.task_id.desc())
        .limit(limit)
    )
    return found.all()


def _sought(wanted: TaskFilter, *, once: bool = False) -> ColumnElement[bool]:
    """What a task has to be found by. `once`: its words are taken apart beforehand, not for every row."""
    sought: list[ColumnElement[bool]] = []
    if text := searched_text(wanted.search):
        query = func.search_query(text)
        words = TaskSearch.document.op("@@")(select(query).scalar_subquery() if once else query)
        # Words that begin with all of these, whatever their endings, or a key that begins like this.
        sought.append(or_(words, _key_begins(text)))
    if wanted.created_from:
        sought.append(TaskSearch.created_at >= wanted.created_from)
    if wanted.created_before:
        sought.append(TaskSearch.created_at < wanted.created_before)
    return and_(*sought)


def _key_begins(text: str) -> ColumnElement[bool]:
    return TaskSearch.jira_id.startswith(text.upper(), autoescape=True)
