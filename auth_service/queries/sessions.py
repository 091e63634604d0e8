"""Who a sign-on cookie stands for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from auth_service.domain.tokens import Subject, digest
from auth_service.models import PEOPLE, Account, RevokedAccessToken, SignOnSession, TokenFamily, subject
from auth_service.settings import AuthSettings
from service_kit.database import ReadSession

SESSIONS_SHOWN = 100


@dataclass(frozen=True)
class OpenSession:
    """One browser in which somebody is signed in."""

    id: UUID
    program: str | None
    address: str | None
    authenticated_at: datetime
    seen_at: datetime


async def signed_in(session: ReadSession, settings: AuthSettings, secret: str) -> Subject | None:
    """The person behind a cookie, unless the session ended, was idle too long, or the account is blocked."""
    now = datetime.now(UTC)
    return await _person(
        session,
        PEOPLE.where(
            SignOnSession.secret_digest == digest(secret),
            SignOnSession.ended_at.is_(None),
            SignOnSession.expires_at > now,
            SignOnSession.seen_at > now - timedelta(seconds=settings.session_idle_s),
            Account.blocked.is_(False),
        ),
    )


async def person_of_session(session: ReadSession, session_id: UUID) -> Subject | None:
    return await _person(session, PEOPLE.where(SignOnSession.id == session_id))


async def person_of_token(session: ReadSession, claims: Mapping[str, Any]) -> Subject | None:
    """The person an access token of ours is about, unless it was withdrawn or they were stopped since."""
    withdrawn = select(RevokedAccessToken.jti).where(RevokedAccessToken.jti == claims["jti"]).exists()
    statement = PEOPLE.where(Account.blocked.is_(False), ~withdrawn)
    family = TokenFamily.id == UUID(claims["grant_id"]) if "grant_id" in claims else None
    if family is not None:
        statement = statement.join(TokenFamily, TokenFamily.session_id == SignOnSession.id).where(
            family, TokenFamily.revoked_at.is_(None)
        )
    if "sid" in claims:
        statement = statement.where(SignOnSession.id == UUID(claims["sid"]), SignOnSession.ended_at.is_(None))
    elif family is None:
        # Of a program that acts in its own name.
        return None
    return await _person(session, statement)


async def _person(session: ReadSession, statement: Select[*tuple[Any, ...]]) -> Subject | None:
    found = (await session.execute(statement)).one_or_none()
    return None if found is None else subject(found)


async def session_is_open(session: ReadSession, session_id: UUID) -> bool:
    ended = await session.scalar(
        select(SignOnSession.id).where(SignOnSession.id == session_id, SignOnSession.ended_at.is_(None))
    )
    return ended is not None


async def open_sessions(session: ReadSession, settings: AuthSettings, account_id: UUID) -> list[OpenSession]:
    """Where an account is signed in at present, the latest use first."""
    now = datetime.now(UTC)
    rows = await session.scalars(
        select(SignOnSession)
        .where(
            SignOnSession.account_id == account_id,
            SignOnSession.ended_at.is_(None),
            SignOnSession.expires_at > now,
            SignOnSession.seen_at > now - timedelta(seconds=settings.session_idle_s),
        )
        .order_by(SignOnSession.seen_at.desc(), SignOnSession.id)
        .limit(SESSIONS_SHOWN)
    )
    return [OpenSession(row.id, row.program, row.address, row.authenticated_at, row.seen_at) for row in rows]
