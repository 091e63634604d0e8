"""Creating, editing and completing tasks."""

from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import TypedDict, Unpack
from uuid import UUID

from sqlalchemy import DateTime, Uuid, bindparam, func, literal, select
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import insert as upsert

from service_kit.context import clock
from service_kit.database import Session, notify_after_commit
from service_kit.ids import new_id
from service_kit.live.changes import CHANNEL as LIVE_CHANNEL
from service_kit.live.changes import announce
from service_kit.outbox import CHANNEL as OUTBOX_CHANNEL
from service_kit.outbox import SAID, Outgoing, publish, publish_many, said, saying
from service_kit.roles import CurrentUser
from tracker import domain
from tracker.domain import AssignReason, HistoryKind, Status, TaskText
from tracker.events import TaskAssigned, TaskCompleted, TaskCreated, TaskCreatedV1, TaskUpdated
from tracker.models import ELIGIBLE, Account, Task, TaskHistory, TaskSearch

LOCKED = select(Task).where(Task.id == bindparam("task_id")).with_for_update()

# The task, its history, its news and the fact in one round trip: nothing is clicked as often as this. The
# cycle is known to the row alone.
_COMPLETED = sql(
    f"""
    WITH done AS (
        UPDATE tasks SET status = 'done', completed_at = :at
        WHERE id = :task_id AND assignee_id = :actor AND status = 'open' RETURNING *
    ), remembered AS (
        INSERT INTO task_history (id, task_id, kind, cycle, actor_id, assignee_id, occurred_at)
        -- Drawn once the task is held: behind the steps of whoever held it before.
        SELECT uuidv7(), id, 'completed', cycle, :actor, assignee_id, :at FROM done
    ), told AS (
        INSERT INTO live_changes (topic)
        SELECT unnest(ARRAY['tasks', 'task:' || id, 'person:' || assignee_id]) FROM done
    ), said AS ({saying("done", event_id=":event_id", key="id", blanks="cycle")})
    SELECT {", ".join(Task.__table__.c.keys())} FROM done
    """  # noqa: S608  names of columns
)
COMPLETED = (
    select(Task)
    .from_statement(
        _COMPLETED.bindparams(
            *(bindparam(name, type_=Uuid) for name in ("task_id", "actor", "event_id")),
            bindparam("at", type_=DateTime(timezone=True)),
            *SAID,
        ).columns(*Task.__table__.c)
    )
    .execution_options(populate_existing=True)
)


class TextChange(TypedDict, total=False):
    """What an edit changes; what is absent stays."""

    title: str
    jira_id: str | None
    description: str | None


async def create_task(
    session: Session,
    actor: CurrentUser,
    *,
    title: str,
    jira_id: str | None = None,
    description: str | None = None,
    random: Random,
) -> Task:
    """Write down new work and give it to somebody at random, at once: no task lacks an assignee (T5f)."""
    (task,) = await create_tasks(
        session, actor.guid, [domain.task_text(title, jira_id, description)], random=random
    )
    return task


async def create_tasks(
    session: Session, author_id: UUID, texts: Sequence[TaskText], *, random: Random
) -> list[Task]:
    """Write down many at once, each drawn for somebody of its own. Raises `NobodyToAssign`."""
    if not texts:
        return []
    assignees = await _drawn(session, random, len(texts))
    now = clock(session).now()
    tasks = [
        Task(
            id=new_id(),
            title=text.title,
            jira_id=text.jira_id,
            description=text.description,
            status=Status.OPEN,
            assignee_id=assignee_id,
            cycle=1,
            assigned_at=now,
            created_by=author_id,
            created_at=now,
            version=1,
        )
        for text, assignee_id in zip(texts, assignees, strict=True)
    ]
    session.add_all(tasks)
    await session.flush()
    facts = []
    for task, text in zip(tasks, texts, strict=True):
        _remember(session, task, HistoryKind.CREATED, author_id, now)
        _remember(session, task, HistoryKind.ASSIGNED, author_id, now, AssignReason.CREATED)
        facts += _facts_of_creation(task, text)
    await _let_find(session, tasks)
    await publish_many(session, facts)
    await announce(session, {"tasks", *(f"person:{task.assignee_id}" for task in tasks)})
    return tasks


async def update_task(
    session: Session, actor: CurrentUser, task_id: UUID, *, version: int, **changes: Unpack[TextChange]
) -> Task:
    """Change what a task says, unless somebody else changed it since `version` was read."""
    task = await _locked(session, task_id)
    domain.refuse_editor(
        actor_id=actor.guid, role=actor.role, created_by=task.created_by, assignee_id=task.assignee_id
    )
    domain.refuse_done(task.status)
    domain.refuse_stale(known=version, current=task.version)
    text = domain.task_text(
        changes.get("title", task.title),
        changes.get("jira_id", task.jira_id),
        changes.get("description", task.description),
    )
    if text == domain.TaskText(task.title, task.jira_id, task.description):
        return task
    now = clock(session).now()
    task.title, task.jira_id, task.description = text.title, text.jira_id, text.description
    task.version += 1
    _remember(session, task, HistoryKind.UPDATED, actor.guid, now)
    fact = TaskUpdated(
        task_id=task.id, user_guid=actor.guid, title=text.title, jira_id=text.jira_id, updated_at=now
    )
    await _let_find(session, [task])
    await publish(session, fact, key=task.id, occurred_at=now)
    await announce(session, {"tasks", f"task:{task.id}", f"person:{task.assignee_id}"})
    return task


async def complete_task(session: Session, actor: CurrentUser, task_id: UUID) -> Task:
    """Mark a task as done by its assignee, once (R3).

    The row lock decides between two clicks, and between a click and a distribution. All of it is one
    statement, so that no transaction has to be around it.
    """
    now = clock(session).now()
    done = {"task_id": task_id, "actor": actor.guid, "event_id": new_id(), "at": now}
    # The cycle stands for the row's own.
    fact = TaskCompleted(task_id=task_id, user_guid=actor.guid, cycle=1, completed_at=now)
    done |= said(session, fact, ["cycle"], occurred_at=now)
    task: Task | None = await session.scalar(COMPLETED, done)
    while task is None:
        found = await _locked(session, task_id)
        # Says why not, unless the task has become this person's just now.
        domain.refuse_completion(actor_id=actor.guid, assignee_id=found.assignee_id, status=found.status)
        task = await session.scalar(COMPLETED, done)
    notify_after_commit(session, LIVE_CHANNEL)
    notify_after_commit(session, OUTBOX_CHANNEL)
    return task


async def _locked(session: Session, task_id: UUID) -> Task:
    task = await session.scalar(LOCKED, {"task_id": task_id})
    if task is None:
        raise domain.TaskNotFound
    return task


async def _draw_one(session: Session, random: Random) -> UUID:
    # One statement and one row: the list of everybody would be read again for each new task.
    eligible = select(func.count()).select_from(Account).where(ELIGIBLE).scalar_subquery()
    place = func.floor(literal(random.random()) * eligible)
    drawn = await session.scalar(
        select(Account.id).where(ELIGIBLE).order_by(Account.id).offset(place).limit(1)
    )
    if drawn is None:
        raise domain.nobody_to_assign()
    return drawn


def _facts_of_creation(task: Task, text: TaskText) -> list[Outgoing]:
    now = task.created_at
    created = {"task_id": task.id, "user_guid": task.created_by, "created_at": now}
    both_versions = (
        TaskCreatedV1(**created, title=text.title_v1),
        TaskCreated(**created, title=text.title, jira_id=text.jira_id),
    )
    assigned = TaskAssigned(
        task_id=task.id,
        user_guid=task.assignee_id,
        cycle=1,
        reason=AssignReason.CREATED,
        distribution_id=None,
        assigned_at=now,
    )
    return [Outgoing(both_versions, task.id, now), Outgoing((assigned,), task.id, now)]


async def _let_find(session: Session, tasks: Sequence[Task]) -> None:
    """Write down what the tasks are found by."""
    statement = upsert(TaskSearch).values(
        [
            {
                "task_id": task.id,
                "jira_id": task.jira_id,
                "created_at": task.created_at,
                "document": func.array_to_tsvector(func.search_words(f"{task.title} {task.description}")),
            }
            for task in tasks
        ]
    )
    new = statement.excluded
    changed = {"jira_id": new.jira_id, "document": new.document}
    await session.execute(statement.on_conflict_do_update(index_elements=[TaskSearch.task_id], set_=changed))


async def _drawn(session: Session, random: Random, count: int) -> list[UUID]:
    if count == 1:
        return [await _draw_one(session, random)]
    eligible = (await session.scalars(select(Account.id).where(ELIGIBLE).order_by(Account.id))).all()
    return domain.draw_assignees(random, eligible, count)


def _remember(
    session: Session,
    task: Task,
    kind: HistoryKind,
    actor_id: UUID,
    at: datetime,
    reason: AssignReason | None = None,
) -> None:
    session.add(
        TaskHistory(
            id=new_id(),
            task_id=task.id,
            kind=kind,
            cycle=task.cycle,
            actor_id=actor_id,
            assignee_id=task.assignee_id,
            reason=reason,
            occurred_at=at,
        )
    )
