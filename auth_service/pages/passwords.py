"""A forgotten password, and the first one: ask for a letter, follow its link, choose."""

from typing import Annotated

from fastapi import Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from auth_service.commands.guesses import admit_letter
from auth_service.commands.letters import queue_letter
from auth_service.commands.links import set_password_by_link
from auth_service.domain.accounts import WeakPassword, check_new_password
from auth_service.domain.links import DEAD_LINK, DeadLink
from auth_service.pages.sign_on import (
    LINK,
    SECRET_LENGTH_MAX,
    OwnSettings,
    PasswordsDep,
    address_of,
    drop_cookie,
)
from auth_service.queries.links import account_of_link
from service_kit.pages import redirect, render, toast
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, Writing, runtime_of

router = ServiceRouter(include_in_schema=False)

SEE_OTHER = 303
FIELD_LENGTH_MAX = 1000
NAME_LENGTH_MAX = 255


@router.get("/forgotten")
async def forgotten(request: Request) -> Response:
    return render(request, "auth/forgotten.html", {"sent": False})


@router.post("/forgotten")
async def ask_for_letter(
    request: Request,
    session: Writing,
    settings: OwnSettings,
    name: Annotated[str, Form(max_length=FIELD_LENGTH_MAX)] = "",
) -> Response:
    """Note that somebody asked. The answer is the same for everybody, and so is the work."""
    named = name.replace("\x00", "").strip().lower()[:NAME_LENGTH_MAX]
    if named and await admit_letter(session, settings, named, address_of(request)):
        await queue_letter(session, "reset", {"name": named})
    return render(request, "auth/forgotten.html", {"sent": True})


@router.get("/new-password")
async def new_password(
    request: Request,
    session: Reading,
    settings: OwnSettings,
    link: Annotated[str, Query(max_length=FIELD_LENGTH_MAX)] = "",
) -> Response:
    if link and not (link.isascii() and link.isprintable()):
        return _dead(request, settings, DeadLink(DEAD_LINK))
    if link:
        # Out of the address, where histories and screens keep it.
        response = RedirectResponse(f"{settings.public_path}/new-password", SEE_OTHER)
        LINK.keep(response, settings, link[:SECRET_LENGTH_MAX])
        return response
    try:
        account = await account_of_link(session, LINK.read(request, settings) or "")
    except DeadLink as error:
        return _dead(request, settings, error)
    return render(request, "auth/new_password.html", {"login": account.login, "error": None, "dead": None})


@router.post("/new-password")
async def take_new_password(
    request: Request,
    settings: OwnSettings,
    passwords: PasswordsDep,
    new: Annotated[str, Form(max_length=FIELD_LENGTH_MAX)] = "",
) -> Response:
    """A link signs nobody in: password and second factor are asked for, as always."""
    database = runtime_of(request).database
    token = LINK.read(request, settings) or ""
    try:
        async with database.reading() as reading:
            login = (await account_of_link(reading, token)).login
        try:
            check_new_password(new, login)
        except WeakPassword as error:
            found = {"login": login, "error": error.detail, "dead": None}
            return render(request, "auth/new_password.html", found, status=error.status)
        password_hash = await passwords.make(new)
        async with database.transaction() as session:
            account = await set_password_by_link(session, token, password_hash)
            await queue_letter(session, "password_changed", {"account": str(account.id)})
    except DeadLink as error:
        return _dead(request, settings, error)
    response = toast(
        redirect(request, f"/sign-in?login={login}"),
        _("Your password is set. Sign in with it. Everywhere else you are signed out."),
    )
    LINK.drop(response, settings)
    drop_cookie(response, settings)
    return response


def _dead(request: Request, settings: OwnSettings, error: DeadLink) -> Response:
    found = {"login": "", "error": None, "dead": error.detail}
    response = render(request, "auth/new_password.html", found, status=error.status)
    LINK.drop(response, settings)
    return response
