"""Asking for an account, where the exchange lets strangers ask."""

from typing import Annotated

from fastapi import Form, Request, Response

from auth_service.commands.applications import apply_for_account
from auth_service.commands.guesses import admit_stranger
from auth_service.pages.sign_on import OwnSettings, address_of
from auth_service.settings import AuthSettings
from service_kit.errors import NotFound, ServiceError, TooMany
from service_kit.pages import render, render_form
from service_kit.text import locale_in_use
from service_kit.text import message as _
from service_kit.web import ServiceRouter, Writing

router = ServiceRouter(include_in_schema=False)

FIELD_LENGTH_MAX = 1000
PROSE_LENGTH_MAX = 5000
RETRY_AFTER_S = 60

Field = Annotated[str, Form(max_length=FIELD_LENGTH_MAX)]


@router.get("/join")
async def join(request: Request, settings: OwnSettings) -> Response:
    _refuse_closed(settings)
    return _form(request, {})


@router.post("/join")
async def take_application(
    request: Request,
    session: Writing,
    settings: OwnSettings,
    name: Field = "",
    login: Field = "",
    email: Field = "",
    about: Annotated[str, Form(max_length=PROSE_LENGTH_MAX)] = "",
) -> Response:
    _refuse_closed(settings)
    entered = {"name": name, "login": login, "email": email, "about": about}
    try:
        if not await admit_stranger(session, settings, address_of(request)):
            raise TooMany(_("Too many tries. Wait a little and try again."), retry_after_s=RETRY_AFTER_S)
        await apply_for_account(session, **entered, locale=locale_in_use())
    except ServiceError as error:
        return _form(request, entered, error)
    return render(request, "auth/join.html", {"entered": entered, "sent": True})


def _form(request: Request, entered: dict[str, str], error: ServiceError | None = None) -> Response:
    empty = {"name": "", "login": "", "email": "", "about": ""}
    return render_form(request, "auth/join.html", {"entered": empty | entered, "sent": False}, error)


def _refuse_closed(settings: AuthSettings) -> None:
    if not settings.registration:
        raise NotFound(_("Accounts are made by the administrators here. Ask one of them."))
