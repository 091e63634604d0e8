"""Which applications somebody has let in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select

from auth_service.models import Consent, OAuthClient, RefreshToken, TokenFamily
from service_kit.database import ReadSession


@dataclass(frozen=True)
class Connected:
    """An application that may act for somebody."""

    client_id: str
    name: str
    scopes: Sequence[str]
    since: datetime
    used_at: datetime | None


async def connected_applications(session: ReadSession, account_id: UUID) -> list[Connected]:
    """Those that were let in by consent, and devices; our own services are no guests."""
    consents = {
        row.client_id: row
        for row in await session.scalars(select(Consent).where(Consent.account_id == account_id))
    }
    held = (
        select(
            TokenFamily.client_id,
            func.min(TokenFamily.created_at).label("since"),
            func.max(RefreshToken.issued_at).label("used_at"),
            func.min(TokenFamily.scope).label("scope"),
        )
        .outerjoin(RefreshToken, RefreshToken.family_id == TokenFamily.id)
        .where(
            TokenFamily.account_id == account_id,
            TokenFamily.revoked_at.is_(None),
            TokenFamily.expires_at > func.now(),
        )
        .group_by(TokenFamily.client_id)
        .subquery()
    )
    rows = await session.execute(
        select(OAuthClient.client_id, OAuthClient.name, held.c.since, held.c.used_at, held.c.scope)
        .outerjoin(held, held.c.client_id == OAuthClient.client_id)
        .where(
            or_(
                OAuthClient.client_id.in_(consents),
                # Devices are let in on a page of their own, which is consent as well.
                held.c.client_id.is_not(None) & (func.cardinality(OAuthClient.redirect_uris) == 0),
            )
        )
        .order_by(OAuthClient.name, OAuthClient.client_id)
    )
    found = []
    for client_id, name, since, used_at, scope in rows:
        consent = consents.get(client_id)
        scopes = consent.scopes if consent is not None else (scope or "").split()
        begun = consent.given_at if consent is not None else since
        found.append(Connected(client_id, name, scopes, begun, used_at))
    return found
