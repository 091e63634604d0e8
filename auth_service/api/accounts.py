"""JSON API of accounts, for administrators."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, SecretStr, StrictBool, StrictInt, WithJsonSchema

from auth_service.api.described import PROBLEMS
from auth_service.commands import accounts as commands
from auth_service.commands.accounts import AccountChanges
from auth_service.commands.passwords import Passwords
from auth_service.models import Account
from auth_service.queries import accounts as queries
from service_kit.identity import CurrentUser, Role, require
from service_kit.paging import Page, Paging
from service_kit.text import LOCALES
from service_kit.web import Line, Payload, Reading, ServiceRouter, SettingsDep, Writing

router = ServiceRouter(prefix="/api/v1/accounts", tags=["accounts"], responses=PROBLEMS)

Admin = Annotated[CurrentUser, require(Role.ADMIN)]


# The domain decides what is one; the description names it.
Login = Annotated[Line, WithJsonSchema({"type": "string", "format": "login"})]
PersonName = Annotated[Line, WithJsonSchema({"type": "string", "format": "person-name"})]
Email = Annotated[Line, WithJsonSchema({"type": "string", "format": "email"})]
Locale = Annotated[Line, WithJsonSchema({"enum": [*LOCALES]})]
TimeZone = Annotated[Line, WithJsonSchema({"type": "string", "format": "time-zone"})]


class AccountView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    login: str
    name: str
    email: str | None
    role: Role
    blocked: bool
    locale: str | None
    time_zone: str
    created_at: datetime
    version: int


class NewAccount(Payload):
    login: Login
    name: PersonName
    role: Role
    email: Email | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None
    password: SecretStr | None = None
    """Absent: the person signs in by codes in letters alone until one is set."""


class AccountPatch(Payload):
    role: Role | None = None
    blocked: StrictBool | None = None
    name: PersonName | None = None
    email: Email | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None
    version: StrictInt | None = None
    """The version this edit was made on; a newer one refuses it."""


async def passwords_of(request: Request) -> Passwords:
    passwords: Passwords = request.app.state.passwords
    return passwords


PasswordsDep = Annotated[Passwords, Depends(passwords_of)]


@router.get("")
async def list_accounts(
    actor: Admin,
    session: Reading,
    paging: Paging,
    search: Annotated[str, Query(max_length=200)] = "",
    role: Role | None = None,
) -> Page[AccountView]:
    """List accounts by login; `search` looks into login, name and e-mail."""
    del actor
    rows = await queries.accounts(
        session, limit=paging.limit, after=paging.after(str), search=search, role=role
    )
    return paging.page(rows, lambda row: (row.login,)).of(AccountView.model_validate)


@router.post("", status_code=201)
async def create_account(
    actor: Admin, session: Writing, passwords: PasswordsDep, settings: SettingsDep, new: NewAccount
) -> AccountView:
    """Create an account, and with it what the other services keep for it."""
    form = commands.AccountForm(
        login=new.login,
        name=new.name,
        role=new.role,
        time_zone=new.time_zone or settings.business_time_zone,
        email=new.email,
        locale=new.locale,
        password=None if new.password is None else new.password.get_secret_value(),
    )
    account = await commands.create_account_with_password(session, actor.guid, form, passwords)
    return AccountView.model_validate(account)


@router.get("/{account_id}")
async def show_account(actor: Admin, session: Reading, account_id: UUID) -> AccountView:
    """Show one account."""
    del actor
    return AccountView.model_validate(await queries.account(session, account_id))


@router.patch("/{account_id}")
async def change_account(
    actor: Admin, session: Writing, account_id: UUID, patch: AccountPatch
) -> AccountView:
    """Change what is given. A new role or a block ends the person's sessions at once."""
    changes = AccountChanges(**patch.model_dump())
    account: Account = await commands.change_account(session, actor.guid, account_id, changes)
    return AccountView.model_validate(account)
