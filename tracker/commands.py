"""Every change of the tracker's state, one function per use case. The caller's edge commits."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from random import Random
from typing import TypedDict, Unpack
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, case, column, func, insert, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import InstrumentedAttribute

from service_kit.context import clock
from service_kit.database import Session, notify_after_commit
from service_kit.ids import new_id
from service_kit.outbox import Outgoing, publish, publish_many
from service_kit.roles import CurrentUser
from service_kit.telemetry import correlation_id
from tracker import domain
from tracker.domain import AccountFact, AssignReason, DistributionStatus, HistoryKind, Status
from tracker.events import TaskAssigned, TaskCompleted, TaskCreated, TaskCreatedV1, TaskUpdated
from tracker.models import ELIGIBLE, Account, Distribution, Task, TaskHistory

DISTRIBUTIONS_CHANNEL = "tracker_distributions"
"""Rung after the commit that asks for a distribution."""

_BEFORE_ALL_TASKS = UUID(int=0)


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
    text = domain.task_text(title, jira_id, description)
    assignee_id = await _draw_one(session, random)
    now = clock(session).now()
    task = Task(
        id=new_id(),
        title=text.title,
        jira_id=text.jira_id,
        description=text.description,
        status=Status.OPEN,
        assignee_id=assignee_id,
        cycle=1,
        assigned_at=now,
        created_by=actor.guid,
        created_at=now,
        version=1,
    )
    session.add(task)
    await session.flush()
    _remember(session, task, HistoryKind.CREATED, actor.guid, now)
    _remember(session, task, HistoryKind.ASSIGNED, actor.guid, now, AssignReason.CREATED)
    created = {"task_id": task.id, "user_guid": actor.guid, "created_at": now}
    both_versions = (
        TaskCreatedV1(**created, title=text.title_v1),
        TaskCreated(**created, title=text.title, jira_id=text.jira_id),
    )
    assigned = TaskAssigned(
        task_id=task.id,
        user_guid=assignee_id,
        cycle=1,
        reason=AssignReason.CREATED,
        distribution_id=None,
        assigned_at=now,
    )
    await publish_many(session, [Outgoing(both_versions, task.id, now), Outgoing((assigned,), task.id, now)])
    return task


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
    await publish(session, fact, key=task.id, occurred_at=now)
    return task


async def complete_task(session: Session, actor: CurrentUser, task_id: UUID) -> Task:
    """Mark a task as done by its assignee, once (R3).

    The row lock decides between two clicks, and between a click and a distribution.
    """
    task = await _locked(session, task_id)
    domain.refuse_completion(actor_id=actor.guid, assignee_id=task.assignee_id, status=task.status)
    now = clock(session).now()
    task.status, task.completed_at = Status.DONE, now
    _remember(session, task, HistoryKind.COMPLETED, actor.guid, now)
    fact = TaskCompleted(task_id=task.id, user_guid=actor.guid, cycle=task.cycle, completed_at=now)
    await publish(session, fact, key=task.id, occurred_at=now)
    return task


async def request_distribution(session: Session, actor: CurrentUser) -> Distribution:
    """Ask for all open tasks to be dealt out anew; while a run is under way, answer that one (S3-41).

    The work itself is the worker process's (`run_distribution_chunk`).
    """
    if not await session.scalar(select(Account.id).where(ELIGIBLE).limit(1)):
        raise domain.nobody_to_assign()
    running = select(Distribution).where(Distribution.status == DistributionStatus.RUNNING)
    while (found := await session.scalar(running)) is None:
        open_tasks = select(func.count()).select_from(Task).where(Task.status == Status.OPEN)
        request = upsert(Distribution).values(
            id=new_id(),
            status=DistributionStatus.RUNNING,
            requested_by=actor.guid,
            requested_at=clock(session).now(),
            tasks_total=open_tasks.scalar_subquery(),
            tasks_assigned=0,
            correlation_id=correlation_id.get(),
        )
        # Of two presses at once one waits here for the other, writes nothing and finds the run next turn.
        await session.execute(request.on_conflict_do_nothing())
    notify_after_commit(session, DISTRIBUTIONS_CHANNEL)
    return found


async def run_distribution_chunk(session: Session, *, random: Random, size: int) -> Distribution | None:
    """Deal out the next `size` open tasks of the run that is under way; call again until the run is done.

    Answers None when there is nothing to do here: no run, or another worker is at it. Each chunk is one
    transaction that moves the cursor along with its assignments, so a run that was killed goes on where it
    stopped and deals each task once. A task that is completed before the run comes to it is left alone.
    """
    run = await session.scalar(
        select(Distribution)
        .where(Distribution.status == DistributionStatus.RUNNING)
        .with_for_update(skip_locked=True)
    )
    if run is None:
        return None
    chunk = select(Task.id, Task.cycle).where(
        Task.status == Status.OPEN, Task.id > (run.cursor or _BEFORE_ALL_TASKS), Task.id < run.id
    )
    rows = await session.execute(chunk.order_by(Task.id).limit(size).with_for_update())
    tasks = [(row.id, row.cycle) for row in rows]
    eligible = (await session.scalars(select(Account.id).where(ELIGIBLE).order_by(Account.id))).all()
    if not tasks or not eligible:
        # With everybody blocked meanwhile there is nobody to draw: what was not dealt stays as it is (R10).
        run.status, run.finished_at = DistributionStatus.DONE, clock(session).now()
        return run
    await _assign(session, run, tasks, domain.draw_assignees(random, eligible, len(tasks)))
    run.cursor = tasks[-1][0]
    run.tasks_assigned += len(tasks)
    return run


async def record_accounts(session: Session, facts: Iterable[AccountFact]) -> None:
    """Keep the replica of accounts up to date. What is older than what is known changes nothing.

    A fact about an account never heard of creates it with what the fact tells.
    """
    newest = domain.newest_by_account(facts)
    if not newest:
        return
    # Sorted by id, so that two consumers with the same accounts can not lock each other out.
    rows = [
        {
            "id": known.account_id,
            "role": known.role,
            "role_changed_at": known.role_at,
            "active": True if known.active is None else known.active,
            "active_changed_at": known.active_at,
        }
        for known in sorted(newest, key=lambda known: known.account_id)
    ]
    statement = upsert(Account)
    new = statement.excluded
    newer_role = _newer(new.role_changed_at, Account.role_changed_at)
    newer_active = _newer(new.active_changed_at, Account.active_changed_at)
    changes = {
        "role": case((newer_role, new.role), else_=Account.role),
        "role_changed_at": case((newer_role, new.role_changed_at), else_=Account.role_changed_at),
        "active": case((newer_active, new.active), else_=Account.active),
        "active_changed_at": case((newer_active, new.active_changed_at), else_=Account.active_changed_at),
    }
    await session.execute(statement.on_conflict_do_update(index_elements=[Account.id], set_=changes), rows)


def _newer(
    told: ColumnElement[datetime | None], known: InstrumentedAttribute[datetime | None]
) -> ColumnElement[bool]:
    return told.is_not(None) & or_(known.is_(None), told >= known)


async def _locked(session: Session, task_id: UUID) -> Task:
    task = await session.scalar(select(Task).where(Task.id == task_id).with_for_update())
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


async def _assign(
    session: Session, run: Distribution, tasks: Sequence[tuple[UUID, int]], assignees: Sequence[UUID]
) -> None:
    """Give each task to its drawn assignee: the rows, their history and the facts, one statement each.

    A run belongs to the moment of its press, also where it ends after midnight.
    """
    ids = [task_id for task_id, _cycle in tasks]
    drawn = (
        func.unnest(literal(ids, ARRAY(Uuid)), literal(list(assignees), ARRAY(Uuid)))
        .table_valued(column("task_id", Uuid), column("assignee_id", Uuid), name="drawn")
        .render_derived()
    )
    await session.execute(
        update(Task)
        .where(Task.id == drawn.c.task_id)
        .values(assignee_id=drawn.c.assignee_id, cycle=Task.cycle + 1, assigned_at=run.requested_at)
        .execution_options(synchronize_session=False)
    )
    history, facts = [], []
    for (task_id, cycle), assignee_id in zip(tasks, assignees, strict=True):
        history.append(
            {
                "id": new_id(),
                "task_id": task_id,
                "kind": HistoryKind.ASSIGNED,
                "cycle": cycle + 1,
                "actor_id": run.requested_by,
                "assignee_id": assignee_id,
                "reason": AssignReason.DISTRIBUTED,
                "distribution_id": run.id,
                "occurred_at": run.requested_at,
            }
        )
        fact = TaskAssigned(
            task_id=task_id,
            user_guid=assignee_id,
            cycle=cycle + 1,
            reason=AssignReason.DISTRIBUTED,
            distribution_id=run.id,
            assigned_at=run.requested_at,
        )
        facts.append(Outgoing((fact,), task_id, run.requested_at))
    await session.execute(insert(TaskHistory), history)
    token = correlation_id.set(run.correlation_id)
    try:
        await publish_many(session, facts)
    finally:
        correlation_id.reset(token)


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
