"""Distribute: all open tasks are dealt out anew, part by part, each once.

A run is cut into parts that name disjoint stretches of tasks. Whoever deals a part takes it away in the
transaction of its assignments, so that any number of hands, in any number of processes, deal each task once,
and what was killed lies there for the next hand.
"""

from random import Random
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, DateTime, Integer, Row, Uuid, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from service_kit.context import clock
from service_kit.database import Session, notify_after_commit
from service_kit.ids import new_id
from service_kit.live.changes import TOPICS_MAX, announce
from service_kit.outbox import CHANNEL as OUTBOX_CHANNEL
from service_kit.outbox import SAID, said, saying
from service_kit.roles import CurrentUser
from service_kit.telemetry import correlation_id
from tracker import domain
from tracker.domain import AssignReason, DistributionStatus, Status
from tracker.events import TaskAssigned
from tracker.models import ELIGIBLE, Account, Distribution, DistributionPart, Task

DISTRIBUTIONS_CHANNEL = "tracker_distributions"
"""Rung after the commit that asks for a distribution."""

_BEFORE_ALL_TASKS = UUID(int=0)


async def request_distribution(session: Session, actor: CurrentUser) -> Distribution:
    """Ask for all open tasks to be dealt out anew; while a run is under way, answer that one (S3-41).

    The work itself is the worker process's: it cuts the run, deals its parts and ends it.
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


async def cut_distribution(session: Session, *, size: int) -> Distribution | None:
    """Cut the run that is under way into parts of `size` tasks, unless that was done before.

    Answers the run, None when there is none. Of several who cut at once one does; the others wait for it.
    """
    run = await session.scalar(
        select(Distribution).where(Distribution.status == DistributionStatus.RUNNING).with_for_update()
    )
    if run is None or run.cut_upto == run.id:
        return run
    await session.execute(_CUT, {"run": run.id, "after": run.cut_upto or _BEFORE_ALL_TASKS, "size": size})
    run.cut_upto = run.id
    return run


async def deal_distribution_part(session: Session, *, random: Random) -> int | None:
    """Deal out one part of the run that is under way; answers how many tasks, None when no part is free.

    A task that is completed before the run comes to it is left alone. With everybody blocked meanwhile there
    is nobody to draw: what was not dealt stays as it is (R10).
    """
    part = (await session.execute(_TAKE_A_PART)).one_or_none()
    if part is None:
        return None
    stretch = {"first": part.first_task_id, "until": part.until_task_id}
    # In the order in which prices lock them too; an UPDATE alone would take them as they lie.
    await session.execute(_LOCK, stretch)
    dealt, shown = await _deal(
        session, await session.get_one(Distribution, part.distribution_id), stretch, random
    )
    if dealt:
        people = {one for row in shown for one in (row.before, row.assignee_id)}
        tasks = {row.task_id for row in shown}
        await announce(
            session, {"tasks", "distributions", *_topics("person", people), *_topics("task", tasks)}
        )
        notify_after_commit(session, OUTBOX_CHANNEL)
        # Last of all: the other hands wait here for our commit.
        await session.execute(
            update(Distribution)
            .where(Distribution.id == part.distribution_id)
            .values(tasks_assigned=Distribution.tasks_assigned + dealt)
            .execution_options(synchronize_session=False)
        )
    return dealt


async def finish_distribution(session: Session) -> Distribution | None:
    """End the run that is under way if no part of it is left; answers it, None while somebody deals on.

    Whoever deals a part asks afterwards, so that the last one finds none.
    """
    run = await session.scalar(
        select(Distribution).where(Distribution.status == DistributionStatus.RUNNING).with_for_update()
    )
    if run is None or run.cut_upto != run.id:
        return None
    if await session.scalar(select(DistributionPart.first_task_id).limit(1)):
        return None
    run.status, run.finished_at = DistributionStatus.DONE, clock(session).now()
    await announce(session, ["distributions"])
    return run


def _topics(kind: str, ids: set[UUID]) -> set[str]:
    return {f"{kind}:{known}" for known in ids} if len(ids) <= TOPICS_MAX else {f"{kind}:*"}


async def _deal(
    session: Session, run: Distribution, stretch: dict[str, UUID], random: Random
) -> tuple[int, list[Row[Any]]]:
    """Give each open task of a stretch to somebody drawn: the rows, their history and the facts.

    All of it is one statement of the database, which needs nothing but a seed: a million tasks never travel.
    The facts are put together there too, and the first of them is compared here. A run belongs to the moment
    of its press, also where it ends after midnight.
    """
    # Task, person and cycle stand for what each row has of its own.
    example = _fact(run, run.id, run.requested_by, 1)
    rows = (
        await session.execute(
            _DEAL,
            stretch
            | said(session, example, ["task_id", "user_guid", "cycle"], occurred_at=run.requested_at)
            | {
                "seed": random.getrandbits(63),
                "at": run.requested_at,
                "by": run.requested_by,
                "run": run.id,
                "said_correlation": run.correlation_id,
                "shown_max": TOPICS_MAX + 1,
            },
        )
    ).all()
    if not rows:
        return 0, []
    first = rows[0]
    fact = _fact(run, first.task_id, first.assignee_id, first.cycle)
    if orjson.loads(first.said) != orjson.loads(fact.to_json()):
        raise RuntimeError("the database puts TaskAssigned together in another way than its class")
    return first.dealt, list(rows)


def _fact(run: Distribution, task_id: UUID, assignee_id: UUID, cycle: int) -> TaskAssigned:
    return TaskAssigned(
        task_id=task_id,
        user_guid=assignee_id,
        cycle=cycle,
        reason=AssignReason.DISTRIBUTED,
        distribution_id=run.id,
        assigned_at=run.requested_at,
    )


_CUT = text(
    """
    INSERT INTO distribution_parts (distribution_id, first_task_id, until_task_id)
    SELECT :run, id, coalesce(lead(id) OVER (ORDER BY id), :run)
    FROM (
        SELECT id, row_number() OVER (ORDER BY id) AS place
        FROM tasks WHERE status = 'open' AND id > :after AND id < :run
    ) AS numbered
    WHERE (place - 1) % :size = 0
    """
).bindparams(*(bindparam(name, type_=Uuid) for name in ("run", "after")), bindparam("size", type_=Integer))

_TAKE_A_PART = text(
    """
    DELETE FROM distribution_parts WHERE (distribution_id, first_task_id) = (
        SELECT distribution_id, first_task_id FROM distribution_parts
        ORDER BY distribution_id, first_task_id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING distribution_id, first_task_id, until_task_id
    """
).columns(distribution_id=Uuid, first_task_id=Uuid, until_task_id=Uuid)

_LOCK = text(
    """
    SELECT count(*) FROM (
        SELECT id FROM tasks WHERE status = 'open' AND id >= :first AND id < :until ORDER BY id FOR UPDATE
    ) AS locked
    """
).bindparams(*(bindparam(name, type_=Uuid) for name in ("first", "until")))

# The hash of an id under a secret seed is as good as a dice thrown for it, and nobody has to number the rows.
# The people are asked for by subqueries, which are answered once: joined, they would be gathered anew for
# each task as soon as the plan is one for any parameters.
_DEAL = text(
    f"""
    WITH people AS (
        SELECT array_agg(id ORDER BY id) AS ids, count(*) FROM accounts WHERE {ELIGIBLE}
    ), moved AS (
        UPDATE tasks SET
            assignee_id = (SELECT ids FROM people)[
                1 + (uuid_hash_extended(id, :seed) & 9223372036854775807) % (SELECT count FROM people)
            ],
            cycle = cycle + 1,
            assigned_at = :at
        WHERE status = 'open' AND id >= :first AND id < :until AND (SELECT count FROM people) > 0
        RETURNING id AS task_id, cycle, assignee_id, old.assignee_id AS before,
            uuidv7() AS step_id
    ), remembered AS (
        INSERT INTO task_history
            (id, task_id, kind, cycle, actor_id, assignee_id, reason, distribution_id, occurred_at)
        SELECT step_id, task_id, 'assigned', cycle, :by, assignee_id, 'distributed', :run, :at FROM moved
    ), said AS (
        {saying("moved", event_id="step_id", key="task_id", blanks="task_id, assignee_id, cycle")}
        RETURNING event_id, data
    )
    SELECT task_id, cycle, assignee_id, before, (SELECT count(*) FROM moved) AS dealt,
        (SELECT data FROM said WHERE event_id = (SELECT step_id FROM moved LIMIT 1)) AS said
    FROM moved LIMIT :shown_max
    """  # noqa: S608  the condition of eligibility is a constant
).bindparams(
    *(bindparam(name, type_=Uuid) for name in ("by", "run", "first", "until")),
    bindparam("shown_max", type_=Integer),
    bindparam("seed", type_=BigInteger),
    bindparam("at", type_=DateTime(timezone=True)),
    *SAID,
)
