"""Accounts: created, changed, given roles, blocked. Each change that others need is said as a fact."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from auth_service.commands.audit import record
from auth_service.commands.letters import Kind, queue_letter
from auth_service.commands.links import forget_links
from auth_service.commands.passwords import Passwords
from auth_service.commands.sessions import end_sessions_of
from auth_service.domain.accounts import (
    AccountNotFound,
    EditedMeanwhile,
    EmailTaken,
    LoginTaken,
    OwnAccount,
    check_new_password,
    clean_email,
    clean_locale,
    clean_login,
    clean_name,
    clean_phone,
    clean_postal_address,
    clean_time_zone,
    needed_email,
)
from auth_service.domain.links import NoAddress
from auth_service.events import AccountBlocked, AccountCreated, AccountRoleChanged, AccountUpdated
from auth_service.models import Account, MailCode
from service_kit.context import clock
from service_kit.database import Session, lock_key
from service_kit.errors import cleaned
from service_kit.ids import new_id
from service_kit.outbox import publish
from service_kit.roles import Role
from service_kit.text import message as _

NO_LETTER = _("Without an e-mail address nobody gets a letter.")

PROFILE: dict[str, Callable[[str], object]] = {
    "name": clean_name,
    "locale": clean_locale,
    "time_zone": clean_time_zone,
    "phone": clean_phone,
    "postal_address": clean_postal_address,
    "email": clean_email,
}
"""What somebody may say of themselves, each with its rule."""


@dataclass(frozen=True)
class AccountChanges:
    """What to change; absent fields stay as they are."""

    role: Role | None = None
    blocked: bool | None = None
    name: str | None = None
    email: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    phone: str | None = None
    postal_address: str | None = None
    version: int | None = None
    """The version the editor saw; a newer one refuses the edit."""


@dataclass(frozen=True)
class AccountForm:
    """An account as somebody describes it."""

    login: str
    name: str
    role: Role
    time_zone: str
    email: str | None = None
    locale: str | None = None
    password: str | None = field(default=None, repr=False)
    invited: bool = False
    """A letter is to lead to a password."""


async def create_account(
    session: Session, actor_id: UUID | None, form: AccountForm, *, password_hash: str | None = None
) -> Account:
    """Create an account. Without a password it is signed in to by a code in a letter alone."""
    return await _create(session, actor_id, form.role, _described(form), password_hash)


async def create_account_with_password(
    session: Session, actor_id: UUID | None, form: AccountForm, passwords: Passwords
) -> Account:
    """Create an account whose password may be given with it, and is checked with all the rest."""
    described = _described(form)
    password_hash = None if form.password is None else await passwords.make(form.password)
    return await _create(session, actor_id, form.role, described, password_hash)


async def _create(
    session: Session,
    actor_id: UUID | None,
    role: Role,
    described: dict[str, Any],
    password_hash: str | None,
) -> Account:
    now = clock(session).now()
    account = Account(
        id=new_id(),
        role=role.value,
        blocked=False,
        password_hash=password_hash,
        created_at=now,
        version=1,
        **described,
    )
    await _insert(session, account)
    await publish(
        session,
        AccountCreated(user_guid=account.id, role=role, active=True, created_at=now),
        key=account.id,
        occurred_at=now,
    )
    await _say_updated(session, account)
    record(session, "account_created", actor_id=actor_id, account_id=account.id, details={"role": role.value})
    return account


async def create_first_admin(
    session: Session, *, login: str, password_hash: str, time_zone: str
) -> Account | None:
    """Create an administrator when there is no account at all; several processes may try at once."""
    await session.execute(select(func.pg_advisory_xact_lock(lock_key("auth first admin"))))
    if await session.scalar(select(Account.id).limit(1)) is not None:
        return None
    form = AccountForm(login=login, name=login, role=Role.ADMIN, time_zone=time_zone)
    return await create_account(session, None, form, password_hash=password_hash)


async def change_account(
    session: Session, actor_id: UUID | None, account_id: UUID, changes: AccountChanges
) -> Account:
    """Change what is given. A new role or a block ends the person's sessions everywhere."""
    account = await _locked(session, account_id)
    if changes.version is not None and changes.version != account.version:
        raise EditedMeanwhile(_("Somebody else changed this account meanwhile. Look at it again."))
    # Nobody locks themselves out by mistake, so that one administrator always remains.
    if actor_id == account_id and (changes.role is not None or changes.blocked):
        raise OwnAccount(_("Your own role and block are changed by another administrator."))
    await _change_profile(session, actor_id, account, changes)
    await _change_role(session, actor_id, account, changes.role)
    await _change_block(session, actor_id, account, blocked=changes.blocked)
    return account


async def change_password(
    session: Session,
    actor_id: UUID | None,
    account_id: UUID,
    password_hash: str,
    *,
    kept_session: UUID | None,
) -> None:
    """Set a new password; every other session of the person ends."""
    account = await _locked(session, account_id)
    account.password_hash = password_hash
    account.version += 1
    record(session, "password_changed", actor_id=actor_id, account_id=account_id)
    await forget_links(session, account_id)
    await queue_letter(session, "password_changed", {"account": str(account_id)})
    await end_sessions_of(session, account_id, reason="password changed", except_session=kept_session)


async def sign_out_account(session: Session, actor_id: UUID, account_id: UUID) -> None:
    """End all sessions of a person, for instance after a phone was stolen."""
    account = await _locked(session, account_id)
    await end_sessions_of(session, account.id, reason="ended by an administrator")
    record(
        session,
        "session_ended",
        actor_id=actor_id,
        account_id=account_id,
        details={"reason": "ended by an administrator"},
    )


async def send_password_link(session: Session, actor_id: UUID, account_id: UUID) -> None:
    """Have a letter sent by which the person chooses a password. Raises `NoAddress`."""
    account = await _locked(session, account_id)
    if account.email is None:
        raise NoAddress.of("email", NO_LETTER)
    kind: Kind = "invite" if account.password_hash is None else "reset"
    await queue_letter(session, kind, {"account": str(account_id)})
    record(session, "password_link_sent", actor_id=actor_id, account_id=account_id, details={"kind": kind})


def _described(form: AccountForm) -> dict[str, Any]:
    """What of a form is kept, cleaned. Raises `MalformedAccount`, `WeakPassword`."""

    def password() -> None:
        if form.password is not None:
            check_new_password(form.password, form.login.strip().lower())

    described = cleaned(
        login=lambda: clean_login(form.login),
        name=lambda: clean_name(form.name),
        email=lambda: needed_email(form.email, NO_LETTER) if form.invited else clean_email(form.email),
        locale=lambda: clean_locale(form.locale or "") or None,
        time_zone=lambda: clean_time_zone(form.time_zone),
        password=password,
    )
    del described["password"]
    return described


async def _change_profile(
    session: Session, actor_id: UUID | None, account: Account, changes: AccountChanges
) -> None:
    said = {field: getattr(changes, field) for field in PROFILE}
    checks = {
        field: partial(clean, said[field]) for field, clean in PROFILE.items() if said[field] is not None
    }
    # What is empty is kept as absent.
    wanted = {field: value or None for field, value in cleaned(**checks).items()}
    changed = [field for field, value in wanted.items() if value != getattr(account, field)]
    if not changed:
        return
    if "email" in changed:
        await _take_email(session, account, wanted["email"])
    for name in changed:
        setattr(account, name, wanted[name])
    account.version += 1
    record(session, "account_updated", actor_id=actor_id, account_id=account.id, details={"fields": changed})
    # Names and addresses stay here; others hear only what they need to show things rightly.
    if {"locale", "time_zone"} & set(changed):
        await _say_updated(session, account)


async def _change_role(session: Session, actor_id: UUID | None, account: Account, role: Role | None) -> None:
    if role is None or role.value == account.role:
        return
    before, account.role = account.role, role.value
    account.version += 1
    now = clock(session).now()
    record(
        session,
        "role_changed",
        actor_id=actor_id,
        account_id=account.id,
        details={"from": before, "to": role.value},
    )
    # The new role has to be in every token: the old sessions end.
    await end_sessions_of(session, account.id, reason="role changed")
    await publish(
        session,
        AccountRoleChanged(user_guid=account.id, role=role, changed_at=now),
        key=account.id,
        occurred_at=now,
    )


async def _change_block(
    session: Session, actor_id: UUID | None, account: Account, *, blocked: bool | None
) -> None:
    if blocked is None or blocked == account.blocked:
        return
    account.blocked = blocked
    account.version += 1
    now = clock(session).now()
    record(
        session,
        "account_blocked" if blocked else "account_unblocked",
        actor_id=actor_id,
        account_id=account.id,
    )
    if blocked:
        await end_sessions_of(session, account.id, reason="account blocked")
    await publish(
        session,
        AccountBlocked(user_guid=account.id, blocked=blocked, changed_at=now),
        key=account.id,
        occurred_at=now,
    )


async def _say_updated(session: Session, account: Account) -> None:
    now = clock(session).now()
    await publish(
        session,
        AccountUpdated(
            user_guid=account.id, locale=account.locale, time_zone=account.time_zone, updated_at=now
        ),
        key=account.id,
        occurred_at=now,
    )


async def _locked(session: Session, account_id: UUID) -> Account:
    account = await session.get(Account, account_id, with_for_update=True)
    if account is None:
        raise AccountNotFound(_("There is no such account."))
    return account


async def _insert(session: Session, account: Account) -> None:
    try:
        async with session.begin_nested():
            session.add(account)
            await session.flush()
    except IntegrityError as error:
        raise _taken(error) from error


async def _take_email(session: Session, account: Account, email: str | None) -> None:
    try:
        async with session.begin_nested():
            account.email, account.email_proven = email, False
            await session.flush()
    except IntegrityError as error:
        raise _taken(error) from error
    # What went to the former address may be in somebody else's hands.
    await forget_links(session, account.id)
    await session.execute(delete(MailCode).where(MailCode.account_id == account.id))


def _taken(error: IntegrityError) -> LoginTaken | EmailTaken:
    if "uq_accounts_email" in str(error.orig):
        return EmailTaken.of("email", _("Another account has this e-mail address."))
    return LoginTaken.of("login", _("This login is taken."))
