"""Taking over a file of tasks: all of them or none."""

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from uuid import UUID

from sqlalchemy import func, select, update

from service_kit.context import clock
from service_kit.database import Session, lock_key, notify_after_commit
from service_kit.ids import new_id
from service_kit.live.changes import announce
from service_kit.roles import CurrentUser
from service_kit.telemetry import correlation_id
from tracker.commands.tasks import create_tasks
from tracker.domain import ImportStatus, TaskText
from tracker.models import TaskImport

IMPORTS_CHANNEL = "tracker_imports"
"""Rung after the commit that asks for an import."""

CHUNK = 500

Progress = Callable[[UUID, int], Awaitable[None]]


async def request_import(session: Session, actor: CurrentUser, texts: Sequence[TaskText]) -> TaskImport:
    """Take checked texts; the worker process creates the tasks (`create_imported_tasks`)."""
    wanted = TaskImport(
        id=new_id(),
        status=ImportStatus.WAITING,
        requested_by=actor.guid,
        requested_at=clock(session).now(),
        rows_total=len(texts),
        rows_done=0,
        rows=[
            {"title": text.title, "jira_id": text.jira_id, "description": text.description} for text in texts
        ],
        correlation_id=correlation_id.get(),
    )
    session.add(wanted)
    await session.flush()
    notify_after_commit(session, IMPORTS_CHANNEL)
    return wanted


async def create_imported_tasks(session: Session, *, random: Random, tell: Progress) -> UUID | None:
    """Create all tasks of the import that waits longest; answers its id, or None when none waits.

    One transaction: killed half way it leaves nothing, and the next run begins anew. `tell` hears how far
    it is and has to write that down elsewhere, where it can be seen before the end.
    """
    # The row itself stays free, so that its progress can be noted from outside meanwhile.
    alone = await session.scalar(select(func.pg_try_advisory_xact_lock(lock_key(IMPORTS_CHANNEL))))
    if not alone:
        return None
    waiting = (
        select(TaskImport.id, TaskImport.requested_by, TaskImport.rows, TaskImport.correlation_id)
        .where(TaskImport.status == ImportStatus.WAITING)
        .order_by(TaskImport.id)
        .limit(1)
    )
    found = (await session.execute(waiting)).one_or_none()
    if found is None:
        return None
    token = correlation_id.set(found.correlation_id)
    try:
        texts = [TaskText(**row) for row in found.rows]
        for begin in range(0, len(texts), CHUNK):
            await create_tasks(session, found.requested_by, texts[begin : begin + CHUNK], random=random)
            session.expunge_all()
            await tell(found.id, min(begin + CHUNK, len(texts)))
    finally:
        correlation_id.reset(token)
    await _finish(session, found.id, ImportStatus.DONE)
    return UUID(str(found.id))


async def note_progress(session: Session, import_id: UUID, rows_done: int) -> None:
    """Let people see how far an import is."""
    await session.execute(update(TaskImport).where(TaskImport.id == import_id).values(rows_done=rows_done))
    await announce(session, [f"import:{import_id}"])


async def fail_import(session: Session) -> None:
    """Give up the import that waits longest: there is nobody who could get its tasks (R10)."""
    waiting = select(TaskImport.id).where(TaskImport.status == ImportStatus.WAITING)
    import_id = await session.scalar(waiting.order_by(TaskImport.id).limit(1).with_for_update())
    if import_id is not None:
        await _finish(session, import_id, ImportStatus.FAILED)


async def _finish(session: Session, import_id: UUID, status: ImportStatus) -> None:
    values = {"status": status, "finished_at": clock(session).now(), "rows": None}
    if status is ImportStatus.FAILED:
        values["rows_done"] = 0
    await session.execute(update(TaskImport).where(TaskImport.id == import_id).values(values))
    await announce(session, [f"import:{import_id}"])
