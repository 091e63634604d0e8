"""Single sign-on sessions: how one begins and how it ends everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    DateTime,
    LargeBinary,
    Text,
    Uuid,
    bindparam,
    delete,
    select,
    text,
    update,
)

from auth_service.commands.audit import record
from auth_service.commands.guesses import RIGHT_GUESS, TAKEN_BACK, right
from auth_service.domain.tokens import digest, new_secret
from auth_service.events import SessionBegan, SessionEnded
from auth_service.models import (
    AuthorizationCode,
    ClientAssertion,
    DeviceGrant,
    LogoutNotice,
    OAuthClient,
    RefreshToken,
    RevokedAccessToken,
    SignOnSession,
    TokenFamily,
)
from auth_service.settings import AuthSettings
from service_kit.database import Session, notify_after_commit
from service_kit.ids import new_id
from service_kit.outbox import CHANNEL, SAID, moment_in_json, publish, said, saying

NOTICES_CHANNEL = "logout_notices"

BEGIN = text(
    f"""
    with owner as (
        select id from accounts
        where id = :account and not blocked
            and (:proof is null or password_hash = :proof)
            and (:whole or not exists (
                select from totp_factors where account_id = :account and confirmed_at is not null
            ))
        for update
    ), begun as (
        insert into sign_on_sessions (
            id, secret_digest, account_id, authenticated_at, seen_at, expires_at, methods, address, program
        )
        select :session, :secret_digest, id, :now, :now, :expires_at, :methods, :address, :program
        from owner
        returning id, account_id
    ), noted as (
        insert into audit_log (id, at, act, actor_id, account_id, address, details)
        select :entry, :now, 'signed_in', account_id, account_id, :address,
            jsonb_build_object('methods', to_jsonb(:methods))
        from begun
    ), {TAKEN_BACK.format(when="exists (select from begun)")}, said as (
        {
        saying(
            "begun",
            event_id=":event_id",
            key="id",
            blanks=f"id, account_id, {moment_in_json(':now')}",
        )
    }
    )
    select id from begun
    """  # noqa: S608  statements of our own
).bindparams(
    *(bindparam(name, type_=Uuid) for name in ("account", "session", "entry", "event_id")),
    *(bindparam(name, type_=DateTime(timezone=True)) for name in ("now", "expires_at")),
    bindparam("whole", type_=Boolean),
    *(bindparam(name, type_=Text) for name in ("proof", "address", "program")),
    bindparam("secret_digest", type_=LargeBinary),
    bindparam("methods", type_=ARRAY(Text)),
    *RIGHT_GUESS,
    *SAID,
)
"""The session, what is said of it, its line in the audit log and the guess that was right: all or nothing."""


@dataclass(frozen=True)
class Seat:
    """Where somebody signs in: network address, browser, and the session that browser had."""

    address: str
    program: str | None = None
    session_id: UUID | None = None


async def begin_session(
    session: Session,
    settings: AuthSettings,
    account_id: UUID,
    seat: Seat,
    *,
    methods: Sequence[str] = ("pwd",),
    proof: str | None = None,
    whole: bool = True,
    wiped: bytes | None = None,
) -> str | None:
    """Begin a session with an id and a secret of its own, so that nobody can plant one beforehand.

    Answers the secret for the browser's cookie, of which only a digest is kept. One statement, which needs no
    transaction around it; it takes back the guess that was right, and whatever was counted under the key
    `wiped`. None, and nothing is done, when the account is blocked, when its password is no longer the one of
    which `proof` is the hash, or when it has a second factor and what was proven is not the `whole`.
    """
    now = datetime.now(UTC)
    secret, session_id = new_secret(), new_id()
    fact = SessionBegan(session_id=session_id, user_guid=account_id, began_at=now)
    begun = await session.scalar(
        BEGIN,
        {
            "account": account_id,
            "proof": proof,
            "whole": whole,
            "session": session_id,
            "secret_digest": digest(secret),
            "now": now,
            "expires_at": _end_of(settings, now),
            "methods": list(methods),
            "address": seat.address,
            "program": seat.program,
            "entry": new_id(),
            "event_id": new_id(),
        }
        | right(seat.address, wiped)
        | said(session, fact, ["session_id", "user_guid", "began_at"], occurred_at=now),
    )
    if begun is None:
        return None
    notify_after_commit(session, CHANNEL)
    return secret


async def begin_for_console(session: Session, settings: AuthSettings, account_id: UUID, program: str) -> UUID:
    """Begin the session of a token that a developer's command line prints; answers its id.

    It signs nobody in, so nothing is said of it.
    """
    now = datetime.now(UTC)
    begun = SignOnSession(
        id=new_id(),
        secret_digest=digest(new_secret()),
        account_id=account_id,
        authenticated_at=now,
        seen_at=now,
        expires_at=_end_of(settings, now),
        program=program,
    )
    session.add(begun)
    await session.flush()
    return begun.id


async def go_on(
    session: Session,
    settings: AuthSettings,
    account_id: UUID,
    seat: Seat,
    *,
    methods: Sequence[str],
) -> str | None:
    """Give the session that a browser had a new secret and the time of this sign-in.

    None when it had none, or one that is over or another person's, which ends with this.
    """
    if seat.session_id is None:
        return None
    now = datetime.now(UTC)
    secret = new_secret()
    went_on = await session.scalar(
        update(SignOnSession)
        .where(
            SignOnSession.id == seat.session_id,
            SignOnSession.account_id == account_id,
            SignOnSession.ended_at.is_(None),
        )
        .values(
            secret_digest=digest(secret),
            authenticated_at=now,
            seen_at=now,
            expires_at=_end_of(settings, now),
            methods=list(methods),
            address=seat.address,
            program=seat.program,
        )
        .returning(SignOnSession.id)
    )
    if went_on is not None:
        return secret
    await end_session(session, seat.session_id, actor_id=account_id, reason="somebody else signed in")
    return None


async def end_session(session: Session, session_id: UUID, *, actor_id: UUID | None, reason: str) -> None:
    """End one session: its refresh tokens stop, and every client that took part is told."""
    await _end(session, [session_id], reason)
    account_id = await session.scalar(select(SignOnSession.account_id).where(SignOnSession.id == session_id))
    record(
        session,
        "session_ended",
        actor_id=actor_id,
        account_id=account_id,
        details={"sid": str(session_id), "reason": reason},
    )


async def end_own_session(session: Session, account_id: UUID, session_id: UUID) -> None:
    """End one of one's own sessions; somebody else's is not there."""
    found = await session.scalar(
        select(SignOnSession.id).where(SignOnSession.id == session_id, SignOnSession.account_id == account_id)
    )
    if found is not None:
        await end_session(session, session_id, actor_id=account_id, reason="ended from the list")


async def end_own_sessions(session: Session, account_id: UUID, *, except_session: UUID | None) -> None:
    """Sign out everywhere, at one's own wish; the session in use may be kept."""
    reason = "signed out everywhere"
    await end_sessions_of(session, account_id, reason=reason, except_session=except_session)
    record(
        session,
        "session_ended",
        actor_id=account_id,
        account_id=account_id,
        details={"reason": reason},
    )


async def end_sessions_of(
    session: Session, account_id: UUID, *, reason: str, except_session: UUID | None = None
) -> None:
    """End every session of a person, for instance after a block; the one in use may be kept."""
    statement = select(SignOnSession.id).where(
        SignOnSession.account_id == account_id, SignOnSession.ended_at.is_(None)
    )
    if except_session is not None:
        statement = statement.where(SignOnSession.id != except_session)
    await _end(session, list(await session.scalars(statement)), reason)
    # What acts while nobody is signed in has no session to end with.
    offline = update(TokenFamily).where(
        TokenFamily.account_id == account_id, TokenFamily.offline, TokenFamily.revoked_at.is_(None)
    )
    if except_session is not None:
        offline = offline.where(TokenFamily.session_id != except_session)
    await session.execute(offline.values(revoked_at=datetime.now(UTC), revoked_because=reason))


def _end_of(settings: AuthSettings, begun: datetime) -> datetime:
    """When a session ends even though it is used."""
    return begun + timedelta(seconds=settings.session_absolute_s)


async def _end(session: Session, session_ids: list[UUID], reason: str) -> None:
    if not session_ids:
        return
    now = datetime.now(UTC)
    ended = await session.execute(
        update(SignOnSession)
        .where(SignOnSession.id.in_(session_ids), SignOnSession.ended_at.is_(None))
        .values(ended_at=now)
        .returning(SignOnSession.id, SignOnSession.account_id)
    )
    for session_id, account_id in ended.all():
        await publish(
            session,
            SessionEnded(session_id=session_id, user_guid=account_id, ended_at=now),
            key=session_id,
            occurred_at=now,
        )
    alive = TokenFamily.session_id.in_(session_ids), TokenFamily.revoked_at.is_(None)
    families = await session.execute(
        update(TokenFamily)
        .where(*alive, TokenFamily.offline.is_(False))
        .values(revoked_at=now, revoked_because=reason)
        .returning(TokenFamily.client_id, TokenFamily.account_id, TokenFamily.session_id)
    )
    # Applications that may go on hear of the sign-out as well (Back-Channel Logout 1.0, 2.7).
    going_on = await session.execute(
        select(TokenFamily.client_id, TokenFamily.account_id, TokenFamily.session_id).where(
            *alive, TokenFamily.offline
        )
    )
    listeners = set(
        await session.scalars(
            select(OAuthClient.client_id).where(OAuthClient.backchannel_logout_uri.is_not(None))
        )
    )
    for client_id, account_id, session_id in {*families.all(), *going_on.all()}:
        if client_id in listeners:
            session.add(
                LogoutNotice(
                    id=new_id(),
                    client_id=client_id,
                    account_id=account_id,
                    session_id=session_id,
                    created_at=now,
                    next_attempt_at=now,
                )
            )
            notify_after_commit(session, NOTICES_CHANNEL)
    await session.flush()


async def forget_ended(session: Session) -> None:
    """Remove what nobody can use any more; the audit log keeps what happened."""
    horizon = datetime.now(UTC) - timedelta(days=1)
    await session.execute(delete(AuthorizationCode).where(AuthorizationCode.expires_at < horizon))
    await session.execute(delete(RevokedAccessToken).where(RevokedAccessToken.expires_at < horizon))
    await session.execute(delete(ClientAssertion).where(ClientAssertion.expires_at < horizon))
    await session.execute(delete(DeviceGrant).where(DeviceGrant.expires_at < horizon))
    over = select(TokenFamily.id).where(TokenFamily.expires_at < horizon)
    await session.execute(delete(RefreshToken).where(RefreshToken.family_id.in_(over)))
    await session.execute(delete(TokenFamily).where(TokenFamily.expires_at < horizon))
    # A family that acts while nobody is signed in still tells when and how its person once was.
    needed = select(TokenFamily.id).where(TokenFamily.session_id == SignOnSession.id).exists()
    await session.execute(delete(SignOnSession).where(SignOnSession.expires_at < horizon, ~needed))
