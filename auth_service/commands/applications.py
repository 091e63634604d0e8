"""Strangers ask for an account; an administrator approves or declines; a letter says which."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from auth_service.commands.accounts import AccountForm, create_account
from auth_service.commands.audit import record
from auth_service.commands.letters import queue_letter
from auth_service.domain.accounts import clean_login, clean_name, needed_email
from auth_service.domain.applications import (
    ABOUT_LENGTH_MAX,
    REASON_LENGTH_MAX,
    WAITING_MAX,
    AlreadyDecided,
    ApplicationNotFound,
    clean_prose,
)
from auth_service.models import Account, Application
from service_kit.database import Session
from service_kit.errors import TooMany, cleaned
from service_kit.ids import new_id
from service_kit.roles import Role
from service_kit.text import message as _

KEPT_AFTER_DECISION = timedelta(days=30)
UNDECIDED_KEPT = timedelta(days=90)
"""Nobody's address stays here for ever because nobody looked."""

RETRY_AFTER_S = 3600


async def apply_for_account(
    session: Session, *, name: str, login: str, email: str, about: str, locale: str
) -> None:
    """Put somebody into the queue and confirm it by a letter.

    A second request from the same e-mail address changes nothing. The person always sees the same: whether
    the address has an account is told to its owner alone.
    """
    said = cleaned(
        name=lambda: clean_name(name),
        email=lambda: needed_email(email),
        login=lambda: clean_login(login),
        about=lambda: clean_prose("about", about, ABOUT_LENGTH_MAX),
    )
    waiting = await session.scalar(select(func.count()).where(Application.decided_at.is_(None)))
    if (waiting or 0) >= WAITING_MAX:
        raise TooMany(_("There are too many requests at the moment."), retry_after_s=RETRY_AFTER_S)
    values = {"id": new_id(), "locale": locale, "asked_at": datetime.now(UTC), **said}
    made = await session.scalar(
        insert(Application).values(values).on_conflict_do_nothing().returning(Application.id)
    )
    record(session, "application_made", details={} if made is None else {"application": str(made)})
    await queue_letter(session, "applied", {"name": said["name"], "email": said["email"]}, locale=locale)


async def approve_application(
    session: Session,
    actor_id: UUID,
    application_id: UUID,
    *,
    login: str,
    role: Role,
    time_zone: str,
) -> Account:
    """Make the account; the letter with its link proves that the address is the applicant's."""
    found = await _waiting(session, application_id)
    form = AccountForm(
        login=login,
        name=found.name,
        role=role,
        time_zone=time_zone,
        email=found.email,
        locale=found.locale,
    )
    account = await create_account(session, actor_id, form)
    found.account_id = account.id
    _decide(session, found, actor_id, "application_approved", account.id)
    await queue_letter(session, "approved", {"account": str(account.id)}, locale=found.locale)
    return account


async def decline_application(session: Session, actor_id: UUID, application_id: UUID, reason: str) -> None:
    """Say no; the reason stands in the letter."""
    found = await _waiting(session, application_id)
    found.reason = clean_prose("reason", reason, REASON_LENGTH_MAX)
    _decide(session, found, actor_id, "application_declined", None)
    said = {"name": found.name, "email": found.email, "reason": found.reason}
    await queue_letter(session, "declined", said, locale=found.locale)


async def forget_old_applications(session: Session) -> None:
    """Addresses of people who never became part of the exchange do not stay."""
    now = datetime.now(UTC)
    await session.execute(delete(Application).where(Application.decided_at < now - KEPT_AFTER_DECISION))
    await session.execute(
        delete(Application).where(
            Application.decided_at.is_(None), Application.asked_at < now - UNDECIDED_KEPT
        )
    )


def _decide(session: Session, found: Application, actor_id: UUID, act: str, account_id: UUID | None) -> None:
    found.decided_at = datetime.now(UTC)
    found.decided_by = actor_id
    record(session, act, actor_id=actor_id, account_id=account_id, details={"application": str(found.id)})


async def _waiting(session: Session, application_id: UUID) -> Application:
    found = await session.get(Application, application_id, with_for_update=True)
    if found is None:
        raise ApplicationNotFound(_("There is no such request."))
    if found.decided_at is not None:
        raise AlreadyDecided(_("Somebody has decided about this request already."))
    return found
