"""The sign-in form, and the form for the second factor where there is one."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from auth_service.commands.guesses import Asked, admit_second_guess, ask_to_sign_in
from auth_service.commands.sign_in import (
    SecondFactorNeeded,
    Shown,
    begin_at_once,
    complete_sign_in,
    note_failed_sign_in,
    sign_in,
)
from auth_service.domain.accounts import PASSWORD_LENGTH_MAX, MalformedAccount, clean_login
from auth_service.domain.factors import CODE_LENGTH_MAX
from auth_service.pages.sign_on import (
    HALF,
    OwnSettings,
    PasswordsDep,
    Person,
    let_sign_in_lead_on,
    safe_next,
    seat_of,
    set_cookie,
)
from service_kit.pages import render
from service_kit.text import message as _
from service_kit.web import ServiceRouter, runtime_of

router = ServiceRouter(include_in_schema=False)

SEE_OTHER = 303
FIELD_LENGTH_MAX = 1000
NOT_SIGNED_IN = _("Login or password is wrong, or there were too many tries. Wait a little and try again.")
"""The one sentence for every reason: a more exact one would tell strangers who has an account here."""

WRONG_CODE = _("This code is not right, or there were too many tries. Wait a little and try again.")


@router.get("/sign-in")
async def sign_in_page(
    request: Request,
    person: Person,
    settings: OwnSettings,
    next_path: Annotated[str | None, Query(alias="next")] = None,
    login: Annotated[str, Query(max_length=FIELD_LENGTH_MAX)] = "",
    *,
    again: bool = False,
) -> Response:
    target = safe_next(settings, next_path)
    if person is not None and not again:
        return RedirectResponse(target, SEE_OTHER)
    return await _form(request, settings, login=login, next_path=target)


@router.post("/sign-in")
async def take_sign_in(
    request: Request,
    person: Person,
    settings: OwnSettings,
    passwords: PasswordsDep,
    login: Annotated[str, Form(max_length=FIELD_LENGTH_MAX)] = "",
    password: Annotated[str, Form(max_length=FIELD_LENGTH_MAX)] = "",
    next_path: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Count, then check, then begin (see `commands.sign_in`)."""
    database = runtime_of(request).database
    seat = seat_of(request, person.session_id if person is not None else None)
    target = safe_next(settings, next_path)
    name = _counted_name(login)
    async with database.single_writes() as session:
        asked = await ask_to_sign_in(session, settings, name, seat.address)
    stored = asked.password_hash if asked.admitted and not asked.blocked else None
    # Every refusal costs one hash, so that the time tells nothing either.
    verdict = await passwords.check(stored, password[:PASSWORD_LENGTH_MAX])
    done: str | SecondFactorNeeded | None = None
    if asked.account_id is not None and stored is not None and verdict.right:
        shown = Shown(asked.account_id, name, stored)
        if not verdict.rehash:
            async with database.single_writes() as session:
                done = await begin_at_once(session, settings, shown, seat)
        if done is None:
            new_hash = await passwords.make(password) if verdict.rehash else None
            async with database.transaction() as session:
                done = await sign_in(session, settings, shown, seat, new_hash=new_hash)
    if done is None:
        async with database.transaction() as session:
            note_failed_sign_in(session, asked.account_id, reason=_reason(asked))
        return await _form(request, settings, login=login, next_path=target, error=NOT_SIGNED_IN, status=401)
    return lead_on(settings, target, done)


@router.get("/sign-in/code")
async def code_page(request: Request, settings: OwnSettings) -> Response:
    opened = _half(request, settings)
    if opened is None:
        return RedirectResponse(f"{settings.public_path}/sign-in", SEE_OTHER)
    await let_sign_in_lead_on(request, settings, opened[1])
    return render(request, "auth/sign_in_code.html", {"error": None})


@router.post("/sign-in/code")
async def take_code(
    request: Request,
    person: Person,
    settings: OwnSettings,
    code: Annotated[str, Form(max_length=FIELD_LENGTH_MAX)] = "",
) -> Response:
    """The second half, counted before it is checked like the first."""
    opened = _half(request, settings)
    if opened is None:
        return RedirectResponse(f"{settings.public_path}/sign-in", SEE_OTHER)
    half, target = opened
    database = runtime_of(request).database
    seat = seat_of(request, person.session_id if person is not None else None)
    secret = None
    async with database.single_writes() as session:
        admitted = await admit_second_guess(session, settings, half.account_id, seat.address)
    if admitted and len(code) <= CODE_LENGTH_MAX:
        async with database.transaction() as session:
            secret = await complete_sign_in(session, settings, half, code=code, seat=seat)
    if secret is None:
        async with database.transaction() as session:
            reason = "wrong code" if admitted else "too many codes"
            note_failed_sign_in(session, half.account_id, reason=reason)
        await let_sign_in_lead_on(request, settings, target)
        return render(request, "auth/sign_in_code.html", {"error": WRONG_CODE}, status=401)
    response = lead_on(settings, target, secret)
    HALF.drop(response, settings)
    return response


def lead_on(settings: OwnSettings, target: str, done: str | SecondFactorNeeded) -> Response:
    """To where the person wanted to go with the new session's secret, or first to the second factor."""
    if isinstance(done, SecondFactorNeeded):
        response = RedirectResponse(f"{settings.public_path}/sign-in/code", SEE_OTHER)
        half = [str(done.account_id), done.fingerprint, target, done.first]
        HALF.keep(response, settings, orjson.dumps(half).decode())
        return response
    response = RedirectResponse(target, SEE_OTHER)
    set_cookie(response, settings, done)
    return response


def _half(request: Request, settings: OwnSettings) -> tuple[SecondFactorNeeded, str] | None:
    """The first half that this browser has done, and where it wants to go."""
    text = HALF.read(request, settings)
    if text is None:
        return None
    account_id, fingerprint, target, first = orjson.loads(text)
    return SecondFactorNeeded(UUID(account_id), fingerprint, first), safe_next(settings, target)


def _counted_name(login: str) -> str:
    """The name by which guesses are counted; what can be no login is counted by its beginning."""
    try:
        return clean_login(login)
    except MalformedAccount:
        return login.replace("\x00", "")[:100].lower()


def _reason(asked: Asked) -> str:
    """Why it failed; without an account nobody knows whether it is blocked."""
    if not asked.admitted:
        return "too many tries"
    if asked.account_id is None:
        return "unknown login"
    return "account blocked" if asked.blocked else "wrong password"


async def _form(
    request: Request,
    settings: OwnSettings,
    *,
    login: str,
    next_path: str,
    error: str | None = None,
    status: int = 200,
) -> Response:
    await let_sign_in_lead_on(request, settings, next_path)
    return render(
        request,
        "auth/sign_in.html",
        {"login": login, "next_path": next_path, "error": error, "joining": settings.registration},
        status=status,
    )
