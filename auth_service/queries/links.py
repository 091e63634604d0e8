"""Links in letters: whose password one sets, and until when."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, select

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


async def link_holds_until(session: ReadSession, account_id: UUID) -> datetime | None:
    """Until when a letter that went to this person still opens something; None when none does."""
    last: datetime | None = await session.scalar(
        select(func.max(PasswordLink.expires_at)).where(
            PasswordLink.account_id == account_id,
            PasswordLink.used_at.is_(None),
            PasswordLink.expires_at > datetime.now(UTC),
        )
    )
    return last
