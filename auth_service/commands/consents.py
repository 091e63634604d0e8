"""People let other people's applications in, and withdraw it."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, update

from auth_service.commands.audit import record
from auth_service.models import Consent, TokenFamily
from service_kit.database import Session


async def withdraw_consent(session: Session, account_id: UUID, client_id: str) -> None:
    """The application is not let in any more; the refresh tokens it holds for this person end."""
    gone = await session.execute(
        delete(Consent)
        .where(Consent.account_id == account_id, Consent.client_id == client_id)
        .returning(Consent.client_id)
    )
    ended = await session.execute(
        update(TokenFamily)
        .where(
            TokenFamily.account_id == account_id,
            TokenFamily.client_id == client_id,
            TokenFamily.revoked_at.is_(None),
        )
        .values(revoked_at=datetime.now(UTC), revoked_because="consent withdrawn")
        .returning(TokenFamily.id)
    )
    if gone.all() or ended.all():
        record(session, "consent_withdrawn", actor_id=account_id, account_id=account_id, client_id=client_id)
