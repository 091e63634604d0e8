"""Sign-in by a code in a letter: asked for by anybody, made out to an account by the worker, good once."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, update

from auth_service.commands.letters import queue_letter
from auth_service.commands.sessions import Seat
from auth_service.commands.sign_in import SecondFactorNeeded, begin_or_half, owner_of
from auth_service.domain.mail_codes import LIFE, METHOD, TRIES_MAX, is_mail_code
from auth_service.models import Account, MailCode
from auth_service.settings import AuthSettings
from service_kit.database import Session
from service_kit.ids import new_id


async def ask_for_mail_code(session: Session, name: str) -> UUID:
    """Note that somebody wants a code; whether there is such an account comes about with the letter."""
    code = MailCode(id=new_id(), tries=0, expires_at=datetime.now(UTC) + LIFE)
    session.add(code)
    await session.flush()
    await queue_letter(session, "code", {"name": name, "code": str(code.id)})
    return code.id


async def admit_mail_guess(session: Session, code_id: UUID) -> bool:
    """Count one guess, before it is checked; False when the code is over or was tried too often."""
    counted = await session.scalar(
        update(MailCode)
        .where(MailCode.id == code_id, MailCode.tries < TRIES_MAX, MailCode.expires_at > datetime.now(UTC))
        .values(tries=MailCode.tries + 1)
        .returning(MailCode.id)
    )
    return counted is not None


async def sign_in_by_mail_code(
    session: Session, settings: AuthSettings, code_id: UUID, typed: str, *, seat: Seat
) -> str | SecondFactorNeeded | None:
    """Answers the cookie's secret, or that a second factor is needed as well, or None for a wrong code."""
    if not is_mail_code(settings.secret_key.get_secret_value(), code_id, typed):
        return None
    # Gone with its use: of two at the same time one finds nothing.
    account_id = await session.scalar(
        delete(MailCode)
        .where(MailCode.id == code_id, MailCode.expires_at > datetime.now(UTC))
        .returning(MailCode.account_id)
    )
    owner = None if account_id is None else await owner_of(session, account_id)
    if owner is None:
        return None
    # A change of the address ends the codes that went to the former one.
    unproven = update(Account).where(Account.id == account_id, ~Account.email_proven)
    await session.execute(unproven.values(email_proven=True))
    return await begin_or_half(session, settings, owner, seat, METHOD)


async def forget_old_mail_codes(session: Session) -> None:
    await session.execute(delete(MailCode).where(MailCode.expires_at < datetime.now(UTC)))
