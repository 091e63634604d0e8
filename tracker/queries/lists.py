"""Reading saved filters and imports."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import defer

from service_kit.database import ReadSession
from service_kit.roles import CurrentUser
from tracker.domain import ImportNotFound
from tracker.models import SavedFilter, TaskImport

SAVED = (
    select(SavedFilter).where(SavedFilter.account_id == bindparam("account_id")).order_by(SavedFilter.name)
)


async def saved_filters(session: ReadSession, actor: CurrentUser) -> Sequence[SavedFilter]:
    return (await session.scalars(SAVED, {"account_id": actor.guid})).all()


async def task_import(session: ReadSession, import_id: UUID) -> TaskImport:
    """Read how far an import is. Raises `ImportNotFound`."""
    found = await session.scalar(
        select(TaskImport).where(TaskImport.id == import_id).options(defer(TaskImport.rows))
    )
    if found is None:
        raise ImportNotFound
    return found
