"""What the logout page has to know of a client."""

from sqlalchemy import select

from auth_service.models import OAuthClient
from service_kit.database import ReadSession


async def may_return_to(session: ReadSession, client_id: str, address: str) -> bool:
    """Whether a client registered this address for the way back after a sign-out, letter by letter."""
    if "\x00" in client_id:
        # PostgreSQL takes no null bytes, and no client has one.
        return False
    allowed = await session.scalar(
        select(OAuthClient.post_logout_redirect_uris).where(OAuthClient.client_id == client_id)
    )
    return allowed is not None and address in allowed
