"""Password sign-in in three steps: count the guess, check it outside of any transaction, begin the session.

The guess is counted and committed before it is checked, so that guesses made at the same time never get more
tries than the limit allows.
"""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from auth_service.commands.audit import record
from auth_service.commands.sessions import begin_session
from auth_service.domain.sign_in import FORGOTTEN_AFTER, WaitRule, account_key, address_key, caller_key
from auth_service.models import Account, GuessCounter
from auth_service.settings import AuthSettings
from service_kit.database import Session

REHASHED = "password_rehashed"


async def admit_guess(session: Session, settings: AuthSettings, login: str, address: str) -> bool:
    """Count one guess against the account's name and the address; False when either has to wait."""
    by_account = await _count(session, account_key(login), WaitRule(settings.attempts_per_account))
    by_address = await _count(session, address_key(address), WaitRule(settings.attempts_per_address))
    return by_account and by_address


async def sign_in(
    session: Session,
    settings: AuthSettings,
    account_id: UUID,
    *,
    login: str,
    address: str,
    checked_hash: str,
    new_hash: str | None,
) -> str | None:
    """Begin a session for somebody whose password was right.

    Answers the cookie's secret, or None when the account was blocked or its password changed meanwhile.
    """
    account = await session.get(Account, account_id, with_for_update=True)
    if account is None or account.blocked or account.password_hash != checked_hash:
        return None
    if new_hash is not None:
        account.password_hash = new_hash
        record(session, REHASHED, account_id=account_id)
    await clear_guesses(session, login)
    # An address may belong to many: only this one good guess is taken back.
    await session.execute(
        update(GuessCounter)
        .where(GuessCounter.key == address_key(address))
        .values(failures=case((GuessCounter.failures > 0, GuessCounter.failures - 1), else_=0))
    )
    begun = await begin_session(session, settings, account)
    record(session, "signed_in", actor_id=account_id, account_id=account_id, address=address)
    return begun.secret


async def clear_guesses(session: Session, login: str) -> None:
    """A right password wipes out the wrong ones before it."""
    await session.execute(delete(GuessCounter).where(GuessCounter.key == account_key(login)))


def note_failed_sign_in(session: Session, account_id: UUID | None, *, address: str, reason: str) -> None:
    """Keep why, for the admins; the person at the form is always told the same."""
    record(session, "sign_in_failed", account_id=account_id, address=address, details={"reason": reason})


async def note_bad_credential(session: Session, settings: AuthSettings, address: str) -> None:
    """Count a token or cookie that does not hold; nobody guesses one, but asking costs us something."""
    await _count(session, caller_key(address), WaitRule(settings.attempts_per_address))


async def forget_old_guesses(session: Session) -> None:
    horizon = datetime.now(UTC) - FORGOTTEN_AFTER
    await session.execute(
        delete(GuessCounter).where(GuessCounter.last_at < horizon, GuessCounter.waits_until < horizon)
    )


async def _count(session: Session, key: bytes, rule: WaitRule) -> bool:
    fresh = insert(GuessCounter).values(key=key, failures=0, last_at=func.now(), waits_until=func.now())
    await session.execute(fresh.on_conflict_do_nothing())
    counter = (
        await session.scalars(
            select(GuessCounter)
            .where(GuessCounter.key == key)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()
    # Read under the lock: a time taken while waiting for it could lie before what the holder wrote.
    now = datetime.now(UTC)
    if counter.waits_until > now:
        return False
    forgotten = counter.last_at < now - FORGOTTEN_AFTER
    counter.failures = 1 if forgotten else counter.failures + 1
    counter.last_at = now
    counter.waits_until = now + rule.wait_after(counter.failures)
    await session.flush()
    return True
