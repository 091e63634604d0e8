"""How one's own account is guarded: authenticator app, recovery codes, the list of sessions."""

from typing import Annotated
from uuid import UUID

import segno
from fastapi import Form, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from auth_service.commands.factors import (
    begin_totp,
    confirm_totp,
    open_secret,
    remove_factors,
    renew_recovery_codes,
)
from auth_service.commands.sessions import end_own_session, end_own_sessions
from auth_service.domain.factors import WrongCode, totp_address, typed_secret
from auth_service.domain.programs import program_name
from auth_service.domain.tokens import Subject
from auth_service.pages.sign_on import OwnSettings, SignedIn, drop_cookie, is_recent, sign_in_again
from auth_service.queries.factors import factors_of, passkeys_of, waiting_totp
from auth_service.queries.sessions import open_sessions
from auth_service.settings import AuthSettings
from service_kit.database import ReadSession
from service_kit.pages import redirect, render, toast
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, Writing

router = ServiceRouter(include_in_schema=False)

SEE_OTHER = 303
FIELD_LENGTH_MAX = 1000
EXCHANGE = "aTES"
GROUP = 4


@router.get("/security")
async def security(request: Request, session: Reading, person: SignedIn, settings: OwnSettings) -> Response:
    return render(
        request,
        "auth/security.html",
        {
            "factors": await factors_of(session, person.guid),
            "sessions": await open_sessions(session, settings, person.guid),
            "own_session": person.session_id,
            "passkeys": await passkeys_of(session, person.guid),
            "program": program_name(request.headers.get("User-Agent", "")),
        },
    )


@router.post("/security/sessions/{session_id}/end")
async def end_one(request: Request, session: Writing, person: SignedIn, session_id: UUID) -> Response:
    await end_own_session(session, person.guid, session_id)
    return toast(redirect(request, "/security"), _("This session has ended."))


@router.post("/security/sessions/end")
async def end_all(
    request: Request,
    session: Writing,
    person: SignedIn,
    settings: OwnSettings,
    *,
    here_too: Annotated[bool, Form()] = False,
) -> Response:
    """Sign out everywhere: in every other browser, and in this one as well when it is said so."""
    kept = None if here_too else person.session_id
    await end_own_sessions(session, person.guid, except_session=kept)
    if not here_too:
        return toast(redirect(request, "/security"), _("You are signed out everywhere else."))
    response = RedirectResponse(f"{settings.public_path}/signed-out", SEE_OTHER)
    drop_cookie(response, settings)
    return response


@router.post("/security/totp/begin")
async def add_app(request: Request, session: Writing, person: SignedIn, settings: OwnSettings) -> Response:
    if not is_recent(person):
        return sign_in_again(settings, person, "/security")
    await begin_totp(session, settings.secret_key.get_secret_value(), person.guid)
    return redirect(request, "/security/totp")


@router.get("/security/totp")
async def app_page(request: Request, session: Reading, person: SignedIn, settings: OwnSettings) -> Response:
    return await _app_form(request, session, person, settings)


@router.post("/security/totp")
async def confirm_app(
    request: Request,
    session: Writing,
    person: SignedIn,
    settings: OwnSettings,
    code: Annotated[str, Form(max_length=FIELD_LENGTH_MAX)] = "",
) -> Response:
    if not is_recent(person):
        return sign_in_again(settings, person, "/security")
    try:
        codes = await confirm_totp(session, settings.secret_key.get_secret_value(), person.guid, code)
    except WrongCode as error:
        return await _app_form(request, session, person, settings, error=error.detail, status=error.status)
    return _codes_page(request, codes)


@router.post("/security/totp/remove")
async def remove_app(request: Request, session: Writing, person: SignedIn, settings: OwnSettings) -> Response:
    if not is_recent(person):
        return sign_in_again(settings, person, "/security")
    await remove_factors(session, person.guid, person.guid)
    return toast(redirect(request, "/security"), _("The authenticator app is removed."))


@router.post("/security/recovery-codes")
async def new_codes(request: Request, session: Writing, person: SignedIn, settings: OwnSettings) -> Response:
    if not is_recent(person):
        return sign_in_again(settings, person, "/security")
    if not (await factors_of(session, person.guid)).totp:
        return redirect(request, "/security")
    return _codes_page(request, await renew_recovery_codes(session, person.guid))


def _codes_page(request: Request, codes: list[str]) -> Response:
    shown = ["-".join(code[at : at + GROUP] for at in range(0, len(code), GROUP)) for code in codes]
    return render(request, "auth/recovery_codes.html", {"codes": shown})


async def _app_form(
    request: Request,
    session: ReadSession,
    person: Subject,
    settings: AuthSettings,
    *,
    error: str | None = None,
    status: int = 200,
) -> Response:
    waiting = await waiting_totp(session, person.guid)
    if waiting is None or not is_recent(person):
        return redirect(request, "/security")
    secret = open_secret(settings.secret_key.get_secret_value(), waiting)
    address = totp_address(secret, person.login, EXCHANGE)
    typed = typed_secret(secret)
    picture = segno.make(address, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff")
    return render(
        request,
        "auth/totp.html",
        {
            "address": address,
            "typed": " ".join(typed[at : at + GROUP] for at in range(0, len(typed), GROUP)),
            # Drawn by the library from an address that is all percent-encoded.
            "picture": Markup(picture),  # noqa: S704  see above
            "error": error,
        },
        status=status,
    )
