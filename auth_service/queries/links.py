"""Whose password a link from a letter sets."""

from datetime import UTC, datetime

from sqlalchemy import select

from auth_service.domain.links import DEAD_LINK, LINK_LENGTH_MAX, DeadLink
from auth_service.domain.tokens import digest
from auth_service.models import Account, PasswordLink
from service_kit.database import ReadSession


async def account_of_link(session: ReadSession, token: str) -> Account:
    """The account, as long as the link holds. Raises `DeadLink`."""
    found: Account | None = None
    if token and len(token) <= LINK_LENGTH_MAX:
        found = await session.scalar(
            select(Account)
            .join(PasswordLink, PasswordLink.account_id == Account.id)
            .where(
                PasswordLink.token_digest == digest(token),
                PasswordLink.used_at.is_(None),
                PasswordLink.expires_at > datetime.now(UTC),
                Account.blocked.is_(False),
            )
        )
    if found is None:
        raise DeadLink(DEAD_LINK)
    return found
