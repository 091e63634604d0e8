"""Who asks for an account."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select

from auth_service.domain.applications import ApplicationNotFound
from auth_service.models import Account, Application
from service_kit.database import ReadSession
from service_kit.text import message as _

DECIDED_SHOWN = 20


async def waiting_applications(
    session: ReadSession, *, limit: int, after: tuple[UUID] | None = None
) -> Sequence[Application]:
    """The oldest first, from `after` on; one more than `limit` tells that the list goes on."""
    statement = select(Application).where(Application.decided_at.is_(None))
    if after is not None:
        statement = statement.where(Application.id > after[0])
    return (await session.scalars(statement.order_by(Application.id).limit(limit + 1))).all()


async def decided_applications(session: ReadSession) -> Sequence[Application]:
    return (
        await session.scalars(
            select(Application)
            .where(Application.decided_at.is_not(None))
            .order_by(Application.decided_at.desc())
            .limit(DECIDED_SHOWN)
        )
    ).all()


async def applications_waiting(session: ReadSession) -> int:
    return await session.scalar(select(func.count()).where(Application.decided_at.is_(None))) or 0


async def application(session: ReadSession, application_id: UUID) -> Application:
    found = await session.get(Application, application_id)
    if found is None:
        raise ApplicationNotFound(_("There is no such request."))
    return found


async def login_is_taken(session: ReadSession, login: str) -> bool:
    return await session.scalar(select(Account.id).where(Account.login == login)) is not None
