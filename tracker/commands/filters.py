"""Lists people come back to."""

from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from service_kit.database import Session
from service_kit.ids import new_id
from service_kit.roles import CurrentUser
from tracker import domain
from tracker.models import SavedFilter


async def save_filter(session: Session, actor: CurrentUser, *, name: str, query: str) -> None:
    """Keep the filters of an address under a name; the same name again replaces them.

    Raises `FilterInvalid` for a name that says nothing or when there are too many.
    """
    name = domain.filter_name(name)
    others = select(func.count()).where(SavedFilter.account_id == actor.guid, SavedFilter.name != name)
    domain.refuse_further_filter(await session.scalar(others) or 0)
    statement = upsert(SavedFilter).values(id=new_id(), account_id=actor.guid, name=name, query=query)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[SavedFilter.account_id, SavedFilter.name],
            set_={"query": statement.excluded.query},
        )
    )


async def forget_filter(session: Session, actor: CurrentUser, filter_id: UUID) -> None:
    """Take a saved filter away; one that is somebody else's or gone already changes nothing."""
    mine = (SavedFilter.id == filter_id) & (SavedFilter.account_id == actor.guid)
    await session.execute(delete(SavedFilter).where(mine))
