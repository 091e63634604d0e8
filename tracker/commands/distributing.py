"""Distribute: all open tasks are dealt out anew, chunk by chunk, each once."""

from collections.abc import Sequence
from random import Random
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, column, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from service_kit.context import clock
from service_kit.database import Session, notify_after_commit
from service_kit.ids import new_id
from service_kit.live.changes import announce
from service_kit.outbox import Outgoing, publish_many
from service_kit.roles import CurrentUser
from service_kit.telemetry import correlation_id
from tracker import domain
from tracker.domain import AssignReason, DistributionStatus, HistoryKind, Status
from tracker.events import TaskAssigned
from tracker.models import ELIGIBLE, Account, Distribution, Task, TaskHistory

DISTRIBUTIONS_CHANNEL = "tracker_distributions"
"""Rung after the commit that asks for a distribution."""

_BEFORE_ALL_TASKS = UUID(int=0)


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
    await announce(session, ["distributions"])
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
    chunk = select(Task.id, Task.cycle, Task.assignee_id).where(
        Task.status == Status.OPEN, Task.id > (run.cursor or _BEFORE_ALL_TASKS), Task.id < run.id
    )
    rows = await session.execute(chunk.order_by(Task.id).limit(size).with_for_update())
    tasks = [(row.id, row.cycle, row.assignee_id) for row in rows]
    eligible = (await session.scalars(select(Account.id).where(ELIGIBLE).order_by(Account.id))).all()
    if not tasks or not eligible:
        # With everybody blocked meanwhile there is nobody to draw: what was not dealt stays as it is (R10).
        run.status, run.finished_at = DistributionStatus.DONE, clock(session).now()
        await announce(session, ["distributions"])
        return run
    drawn = domain.draw_assignees(random, eligible, len(tasks))
    await _assign(session, run, [(task_id, cycle) for task_id, cycle, _before in tasks], drawn)
    run.cursor = tasks[-1][0]
    run.tasks_assigned += len(tasks)
    concerned = {before for _task_id, _cycle, before in tasks} | set(drawn)
    people = (f"person:{account_id}" for account_id in concerned)
    shown = (f"task:{task_id}" for task_id, _cycle, _before in tasks)
    await announce(session, {"tasks", "distributions", *people, *shown})
    return run


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
