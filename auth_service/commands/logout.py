"""Back-channel logout: each client that took part in a session is told that it ended, until it has heard.

OpenID Connect Back-Channel Logout 1.0. The notice is written with the end of the session; the worker
delivers it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from joserfc import jwt
from sqlalchemy import delete, select

from auth_service.domain.keys import KeyRing
from auth_service.domain.tokens import logout_claims
from auth_service.models import LogoutNotice, OAuthClient
from service_kit.database import Session

BATCH = 50
GIVEN_UP_AFTER = timedelta(hours=12)
"""By then every token of the session has ended by itself."""

LONGEST_PAUSE_S = 300

Post = Callable[[str, str], Awaitable[bool]]
"""Sends a logout token to an address; answers whether the client accepted it."""


async def any_notice(session: Session) -> bool:
    """Whether a client has yet to be told of something, now or later."""
    return await session.scalar(select(LogoutNotice.id).limit(1)) is not None


async def deliver_notices(session: Session, ring: KeyRing, issuer: str, post: Post) -> int:
    """Deliver what is due; answers how many clients were told."""
    now = datetime.now(UTC)
    await session.execute(delete(LogoutNotice).where(LogoutNotice.created_at < now - GIVEN_UP_AFTER))
    due = await session.execute(
        select(LogoutNotice, OAuthClient)
        .join(OAuthClient, OAuthClient.client_id == LogoutNotice.client_id)
        .where(LogoutNotice.next_attempt_at <= now)
        .order_by(LogoutNotice.next_attempt_at)
        .limit(BATCH)
        # Several workers share the work; a notice has no order to keep.
        .with_for_update(of=LogoutNotice, skip_locked=True)
    )
    found = due.all()

    async def hears(notice: LogoutNotice, client: OAuthClient) -> bool:
        address = client.backchannel_logout_uri
        return address is None or await post(address, _logout_token(ring, issuer, notice, client))

    # Side by side: a client that does not answer keeps nobody else waiting.
    heard = await asyncio.gather(*(hears(notice, client) for notice, client in found))
    for (notice, _client), has_heard in zip(found, heard, strict=True):
        if has_heard:
            await session.delete(notice)
        else:
            notice.attempts += 1
            pause_s = min(2**notice.attempts, LONGEST_PAUSE_S)
            notice.next_attempt_at = now + timedelta(seconds=pause_s)
    await session.flush()
    return sum(heard)


def _logout_token(ring: KeyRing, issuer: str, notice: LogoutNotice, client: OAuthClient) -> str:
    claims = logout_claims(
        issuer=issuer,
        client_id=notice.client_id,
        session_id=notice.session_id,
        account_id=notice.account_id,
        jti=str(notice.id),
    )
    algorithm = client.id_token_alg
    header = {"alg": algorithm, "typ": "logout+jwt"}
    return jwt.encode(header, claims, ring.signing(algorithm, datetime.now(UTC)), [algorithm])
