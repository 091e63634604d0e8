"""Links by which somebody without a password, or with a forgotten one, chooses a new one."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, select, update

from auth_service.commands.audit import record
from auth_service.commands.guesses import clear_guesses
from auth_service.commands.sessions import end_sessions_of
from auth_service.domain.links import DEAD_LINK, LIFE, DeadLink, Purpose
from auth_service.domain.tokens import digest, new_secret
from auth_service.models import Account, PasswordLink
from service_kit.database import Session


async def make_link(session: Session, account_id: UUID, purpose: Purpose) -> str:
    """Make a link's secret; only its digest is kept."""
    token = new_secret()
    session.add(
        PasswordLink(
            token_digest=digest(token),
            account_id=account_id,
            purpose=purpose,
            expires_at=datetime.now(UTC) + LIFE[purpose],
        )
    )
    await session.flush()
    return token


async def set_password_by_link(session: Session, token: str, password_hash: str) -> Account:
    """Set the password; every session ends and every link of the account is used up. Raises `DeadLink`."""
    account: Account | None = await session.scalar(
        select(Account)
        .join(PasswordLink, PasswordLink.account_id == Account.id)
        .where(
            PasswordLink.token_digest == digest(token),
            PasswordLink.used_at.is_(None),
            PasswordLink.expires_at > datetime.now(UTC),
            Account.blocked.is_(False),
        )
        # Of two uses at the same time the second waits here, and finds the link used.
        .with_for_update()
    )
    if account is None:
        raise DeadLink(DEAD_LINK)
    account.password_hash = password_hash
    # A change of the address ends the links that went to the former one.
    account.email_proven = account.email is not None
    account.version += 1
    await forget_links(session, account.id)
    # Whoever was locked out by somebody else's guesses gets in again.
    await clear_guesses(session, account.login)
    record(session, "password_reset", actor_id=account.id, account_id=account.id)
    await end_sessions_of(session, account.id, reason="password changed")
    return account


async def forget_links(session: Session, account_id: UUID) -> None:
    """Whatever letters are still on their way lead nowhere from now on."""
    await session.execute(
        update(PasswordLink)
        .where(PasswordLink.account_id == account_id, PasswordLink.used_at.is_(None))
        .values(used_at=datetime.now(UTC))
    )


async def forget_old_links(session: Session) -> None:
    await session.execute(delete(PasswordLink).where(PasswordLink.expires_at < datetime.now(UTC)))
