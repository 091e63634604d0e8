"""Distribute: all open tasks are dealt out anew, chunk by chunk, each once."""

from collections.abc import Sequence
from random import Random
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, DateTime, Integer, Text, Uuid, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert

from service_kit.context import clock, context
from service_kit.database import Session, notify_after_commit
from service_kit.ids import new_id
from service_kit.live.changes import TOPICS_MAX, announce
from service_kit.outbox import CHANNEL as OUTBOX_CHANNEL
from service_kit.outbox import outbox
from service_kit.roles import CurrentUser
from service_kit.telemetry import correlation_id, current_traceparent
from tracker import domain
from tracker.domain import AssignReason, DistributionStatus, Status
from tracker.events import TaskAssigned
from tracker.models import ELIGIBLE, Account, Distribution, Task

DISTRIBUTIONS_CHANNEL = "tracker_distributions"
"""Rung after the commit that asks for a distribution."""

_BEFORE_ALL_TASKS = UUID(int=0)

_EVERYBODY = func.array_agg(aggregate_order_by(Account.id, Account.id), type_=ARRAY(Uuid))


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
    eligible = await session.scalar(select(_EVERYBODY).where(ELIGIBLE)) or []
    if not tasks or not eligible:
        # With everybody blocked meanwhile there is nobody to draw: what was not dealt stays as it is (R10).
        run.status, run.finished_at = DistributionStatus.DONE, clock(session).now()
        await announce(session, ["distributions"])
        return run
    drawn = domain.draw_assignees(random, eligible, len(tasks))
    await _assign(session, run, [(task_id, cycle) for task_id, cycle, _before in tasks], drawn)
    run.cursor = tasks[-1][0]
    run.tasks_assigned += len(tasks)
    people = _topics("person", {before for _task_id, _cycle, before in tasks} | set(drawn))
    shown = _topics("task", {task_id for task_id, _cycle, _before in tasks})
    await announce(session, {"tasks", "distributions", *people, *shown})
    return run


def _topics(kind: str, ids: set[UUID]) -> set[str]:
    return {f"{kind}:{known}" for known in ids} if len(ids) <= TOPICS_MAX else {f"{kind}:*"}


async def _assign(
    session: Session, run: Distribution, tasks: Sequence[tuple[UUID, int]], assignees: Sequence[UUID]
) -> None:
    """Give each task to its drawn assignee: the rows, their history and the facts in one statement.

    The facts are put together by the database, from one that was made and checked here: a million of them
    take as long to write as the rows they tell of. A run belongs to the moment of its press, also where it
    ends after midnight.
    """
    steps = [new_id() for _task in tasks]
    first = TaskAssigned(
        task_id=tasks[0][0],
        user_guid=assignees[0],
        cycle=tasks[0][1] + 1,
        reason=AssignReason.DISTRIBUTED,
        distribution_id=run.id,
        assigned_at=run.requested_at,
    )
    schema = context(session).schemas.of(TaskAssigned)
    said = orjson.loads(first.to_json())
    schema.refuse_invalid(said)
    await session.flush()
    await session.execute(
        _ASSIGN,
        {
            "steps": steps,
            "tasks": [task_id for task_id, _cycle in tasks],
            "assignees": list(assignees),
            # Otherwise each chunk would walk the index from its beginning.
            "first": tasks[0][0],
            "last": tasks[-1][0],
            "at": run.requested_at,
            "by": run.requested_by,
            "run": run.id,
            "topic": first.topic,
            "name": first.name,
            "version": first.version,
            "schema": schema.id,
            "said": first.to_json().decode(),
            "correlation": run.correlation_id,
            "traceparent": current_traceparent(),
        },
    )
    written = await session.scalar(select(outbox.c.data).where(outbox.c.event_id == steps[0]))
    if orjson.loads(written or b"null") != said:
        raise RuntimeError("the database puts TaskAssigned together in another way than its class")
    notify_after_commit(session, OUTBOX_CHANNEL)


_ASSIGN = text(
    """
    WITH drawn AS (
        SELECT * FROM unnest(:steps, :tasks, :assignees) AS one (step_id, task_id, assignee_id)
    ), moved AS (
        UPDATE tasks SET assignee_id = drawn.assignee_id, cycle = cycle + 1, assigned_at = :at
        FROM drawn WHERE tasks.id = drawn.task_id AND tasks.id BETWEEN :first AND :last
        RETURNING tasks.id AS task_id, tasks.cycle, tasks.assignee_id, drawn.step_id
    ), remembered AS (
        INSERT INTO task_history
            (id, task_id, kind, cycle, actor_id, assignee_id, reason, distribution_id, occurred_at)
        SELECT step_id, task_id, 'assigned', cycle, :by, assignee_id, 'distributed', :run, :at FROM moved
    )
    INSERT INTO outbox
        (event_id, topic, key, name, version, schema_id, data, occurred_at, correlation_id, traceparent)
    SELECT step_id, :topic, task_id::text, :name, :version, :schema,
        convert_to((CAST(:said AS jsonb)
            || jsonb_build_object('taskId', task_id, 'userGuid', assignee_id, 'cycle', cycle))::text, 'UTF8'),
        :at, :correlation, :traceparent
    FROM moved
    """
).bindparams(
    *(bindparam(name, type_=ARRAY(Uuid)) for name in ("steps", "tasks", "assignees")),
    *(bindparam(name, type_=Uuid) for name in ("by", "run", "first", "last")),
    *(bindparam(name, type_=Text) for name in ("topic", "name", "said", "correlation", "traceparent")),
    *(bindparam(name, type_=Integer) for name in ("version", "schema")),
    bindparam("at", type_=DateTime(timezone=True)),
)
