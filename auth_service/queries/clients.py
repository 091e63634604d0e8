"""Applications that sign people in here, and what the logout page has to know of one."""

from collections.abc import Sequence

from sqlalchemy import func, select

from auth_service.domain.clients import ClientNotFound
from auth_service.models import OAuthClient, TokenFamily
from service_kit.database import ReadSession
from service_kit.text import message as _


async def clients(
    session: ReadSession, *, limit: int, after: tuple[str] | None = None
) -> Sequence[OAuthClient]:
    """Applications by id, from `after` on; one more than `limit` tells that the list goes on."""
    statement = select(OAuthClient).order_by(OAuthClient.client_id).limit(limit + 1)
    if after is not None:
        statement = statement.where(OAuthClient.client_id > after[0])
    return (await session.scalars(statement)).all()


async def client_if_known(session: ReadSession, client_id: str) -> OAuthClient | None:
    return await session.get(OAuthClient, client_id)


async def client(session: ReadSession, client_id: str) -> OAuthClient:
    found = await session.get(OAuthClient, client_id.replace("\x00", ""))
    if found is None:
        raise ClientNotFound(_("There is no such application."))
    return found


async def people_at(session: ReadSession, client_id: str) -> int:
    """How many people stay signed in at this application."""
    return (
        await session.scalar(
            select(func.count(func.distinct(TokenFamily.account_id))).where(
                TokenFamily.client_id == client_id,
                TokenFamily.revoked_at.is_(None),
                TokenFamily.expires_at > func.now(),
            )
        )
        or 0
    )


async def may_return_to(session: ReadSession, client_id: str, address: str) -> bool:
    """Whether a client registered this address for the way back after a sign-out, letter by letter."""
    if "\x00" in client_id:
        # PostgreSQL takes no null bytes, and no client has one.
        return False
    allowed = await session.scalar(
        select(OAuthClient.post_logout_redirect_uris).where(OAuthClient.client_id == client_id)
    )
    return allowed is not None and address in allowed
