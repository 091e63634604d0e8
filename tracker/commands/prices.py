"""What tasks cost and bring, as billing says it."""

from collections.abc import Sequence

from sqlalchemy import ARRAY, BigInteger, Uuid, column, func, literal, select, update

from service_kit.database import Session
from service_kit.live.changes import announce
from tracker.domain import Price
from tracker.models import Task


async def record_prices(session: Session, prices: Sequence[Price]) -> None:
    """Note fee and reward of tasks; a task is priced once (R4), so that the first price heard stays."""
    by_task = {price.task_id: price for price in reversed(prices)}
    ids = sorted(by_task)
    # In the order in which a distribution locks them too.
    locked = (
        select(Task.id)
        .where(Task.id == func.any(literal(ids, ARRAY(Uuid))), Task.fee_cents.is_(None))
        .order_by(Task.id)
        .with_for_update()
    )
    waiting = (await session.scalars(locked)).all()
    if not waiting:
        return
    told = (
        func.unnest(
            literal(list(waiting), ARRAY(Uuid)),
            literal([by_task[task_id].fee_cents for task_id in waiting], ARRAY(BigInteger)),
            literal([by_task[task_id].reward_cents for task_id in waiting], ARRAY(BigInteger)),
        )
        .table_valued(
            column("task_id", Uuid), column("fee", BigInteger), column("reward", BigInteger), name="told"
        )
        .render_derived()
    )
    changed = await session.execute(
        update(Task)
        .where(Task.id == told.c.task_id)
        .values(fee_cents=told.c.fee, reward_cents=told.c.reward)
        .returning(Task.id, Task.assignee_id)
        .execution_options(synchronize_session=False)
    )
    topics = {"tasks"}
    for task_id, assignee_id in changed:
        topics |= {f"task:{task_id}", f"person:{assignee_id}"}
    await announce(session, topics)
