"""Accounts, for administrators: find, create, change role, block."""

from typing import Annotated
from uuid import UUID

from fastapi import Form, Query, Request, Response

from auth_service.commands.accounts import (
    AccountChanges,
    AccountForm,
    change_account,
    create_account_with_password,
    send_password_link,
    sign_out_account,
)
from auth_service.commands.factors import reset_factors
from auth_service.pages.sign_on import OwnSettings, PasswordsDep
from auth_service.queries.accounts import account as read_account
from auth_service.queries.accounts import accounts as read_accounts
from auth_service.queries.applications import applications_waiting
from auth_service.queries.factors import factors_of
from auth_service.queries.links import link_holds_until
from auth_service.queries.sessions import open_sessions
from auth_service.settings import AuthSettings
from service_kit.database import ReadSession
from service_kit.errors import ServiceError
from service_kit.identity import CurrentUser, Role, require
from service_kit.pages import redirect, render, render_form, toast
from service_kit.paging import Paging
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, Writing, runtime_of

router = ServiceRouter(include_in_schema=False)

FIELD_LENGTH_MAX = 1000
ROLE_CHOICES = [(role.value, role.label) for role in Role]

Admin = Annotated[CurrentUser, require(Role.ADMIN)]
Field = Annotated[str, Form(max_length=FIELD_LENGTH_MAX)]


@router.get("/accounts")
async def accounts(
    request: Request,
    session: Reading,
    admin: Admin,
    paging: Paging,
    search: Annotated[str, Query(max_length=200)] = "",
    role: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    del admin
    chosen = Role(role) if role in set(Role) else None
    rows = await read_accounts(
        session, limit=paging.limit, after=paging.after(str), search=search, role=chosen
    )
    page = paging.page(rows, lambda row: (row.login,))
    asking = await applications_waiting(session)
    return render(
        request,
        "auth/accounts.html",
        {
            "page": page,
            "asking": asking,
            "search": search,
            "role": chosen,
            "role_choices": [("", _("All")), *ROLE_CHOICES],
        },
    )


@router.get("/accounts/new")
async def new_account(request: Request, admin: Admin) -> Response:
    del admin
    return _new_form(request, {})


@router.post("/accounts/new")
async def save_new_account(
    request: Request,
    session: Writing,
    admin: Admin,
    settings: OwnSettings,
    passwords: PasswordsDep,
    login: Field = "",
    name: Field = "",
    email: Field = "",
    role: Annotated[Role, Form()] = Role.WORKER,
    locale: Field = "",
    password: Field = "",
    *,
    invite: Annotated[bool, Form()] = False,
) -> Response:
    entered: dict[str, str | bool] = {
        "login": login,
        "name": name,
        "email": email,
        "role": role,
        "locale": locale,
        "invite": invite,
    }
    try:
        form = AccountForm(
            login=login,
            name=name,
            role=role,
            time_zone=settings.business_time_zone,
            email=email,
            locale=locale,
            password=password or None,
            invited=invite,
        )
        account = await create_account_with_password(session, admin.guid, form, passwords)
        if invite:
            await send_password_link(session, admin.guid, account.id)
    except ServiceError as error:
        return _new_form(request, entered, error)
    told = _("The account is created; a letter is on its way.") if invite else _("The account is created.")
    return toast(redirect(request, f"/accounts/{account.id}"), told)


@router.get("/accounts/{account_id}")
async def account(
    request: Request, session: Reading, admin: Admin, settings: OwnSettings, account_id: UUID
) -> Response:
    return await _page(request, session, admin, settings, account_id)


@router.post("/accounts/{account_id}/about")
async def set_about(
    request: Request,
    admin: Admin,
    settings: OwnSettings,
    account_id: UUID,
    version: Annotated[int, Form()],
    name: Field = "",
    email: Field = "",
) -> Response:
    """Mend a name, or an address that was mistyped or is no longer theirs."""
    changes = AccountChanges(name=name, email=email, version=version)
    entered = {"name": name, "email": email}
    return await _changed(request, admin, settings, account_id, changes, _("Saved."), entered=entered)


@router.post("/accounts/{account_id}/role")
async def set_role(
    request: Request,
    admin: Admin,
    settings: OwnSettings,
    account_id: UUID,
    role: Annotated[Role, Form()],
    version: Annotated[int, Form()],
) -> Response:
    changes = AccountChanges(role=role, version=version)
    return await _changed(request, admin, settings, account_id, changes, _("The role is changed."))


@router.post("/accounts/{account_id}/block")
async def set_block(
    request: Request,
    admin: Admin,
    settings: OwnSettings,
    account_id: UUID,
    blocked: Annotated[bool, Form()],
    version: Annotated[int, Form()],
) -> Response:
    changes = AccountChanges(blocked=blocked, version=version)
    told = _("The account is blocked, its sessions are ended.") if blocked else _("The block is lifted.")
    return await _changed(request, admin, settings, account_id, changes, told)


@router.post("/accounts/{account_id}/sessions/end")
async def end_sessions(request: Request, session: Writing, admin: Admin, account_id: UUID) -> Response:
    await sign_out_account(session, admin.guid, account_id)
    return toast(redirect(request, f"/accounts/{account_id}"), _("All sessions are ended."))


@router.post("/accounts/{account_id}/password-link")
async def send_link(request: Request, session: Writing, admin: Admin, account_id: UUID) -> Response:
    await send_password_link(session, admin.guid, account_id)
    return toast(redirect(request, f"/accounts/{account_id}"), _("A letter with a link is on its way."))


@router.post("/accounts/{account_id}/factors/remove")
async def remove_factors(request: Request, session: Writing, admin: Admin, account_id: UUID) -> Response:
    """For somebody who has lost the phone and the recovery codes."""
    await reset_factors(session, admin.guid, account_id)
    return toast(
        redirect(request, f"/accounts/{account_id}"), _("Authenticator app and passkeys are removed.")
    )


async def _changed(
    request: Request,
    admin: CurrentUser,
    settings: AuthSettings,
    account_id: UUID,
    changes: AccountChanges,
    told: str,
    *,
    entered: dict[str, str] | None = None,
) -> Response:
    """Change an account; what is refused is said on its page, which shows how the account is now."""
    database = runtime_of(request).database
    try:
        async with database.transaction() as session:
            await change_account(session, admin.guid, account_id, changes)
    except ServiceError as error:
        async with database.reading() as reading:
            return await _page(request, reading, admin, settings, account_id, entered=entered, error=error)
    return toast(redirect(request, f"/accounts/{account_id}"), told)


async def _page(
    request: Request,
    session: ReadSession,
    admin: CurrentUser,
    settings: AuthSettings,
    account_id: UUID,
    *,
    entered: dict[str, str] | None = None,
    error: ServiceError | None = None,
) -> Response:
    account = await read_account(session, account_id)
    shown = {
        "account": account,
        "entered": entered or {"name": account.name, "email": account.email or ""},
        "role_choices": ROLE_CHOICES,
        "own": account_id == admin.guid,
        "factors": await factors_of(session, account_id),
        "link_until": await link_holds_until(session, account_id),
        "sessions": await open_sessions(session, settings, account_id),
    }
    return render_form(request, "auth/account.html", shown, error)


def _new_form(
    request: Request, entered: dict[str, str | bool], error: ServiceError | None = None
) -> Response:
    empty = {"login": "", "name": "", "email": "", "role": Role.WORKER, "locale": "", "invite": False}
    shown = {"entered": empty | entered, "role_choices": ROLE_CHOICES}
    return render_form(request, "auth/account_new.html", shown, error)
