"""Passkeys in the browser: added on the security page, used on the sign-in page. They need scripts."""

import base64
from typing import Annotated, Any
from uuid import UUID

from fastapi import Body, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from auth_service.commands.guesses import admit_address
from auth_service.commands.passkeys import add_passkey, remove_passkey, sign_in_by_passkey
from auth_service.commands.sign_in import note_failed_sign_in
from auth_service.domain.factors import RecentSignInNeeded
from auth_service.domain.passkeys import (
    NOT_TAKEN,
    Asked,
    Place,
    WrongPasskey,
    ask_for_new,
    ask_for_sign_in,
    check_new,
)
from auth_service.domain.tokens import Subject
from auth_service.pages.sign_on import (
    CHALLENGE,
    OwnSettings,
    Person,
    SignedIn,
    is_recent,
    safe_next,
    seat_of,
    set_cookie,
    sign_in_again,
)
from auth_service.queries.factors import passkeys_of
from auth_service.settings import AuthSettings
from service_kit.pages import redirect, toast
from service_kit.serving.payloads import Payload
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, Writing, runtime_of

router = ServiceRouter(include_in_schema=False)

NEXT_LENGTH_MAX = 8000
TOO_MANY = "nobody"
"""Nothing is ever asked for this purpose, so nothing answers it."""


class NewPasskeyPayload(Payload):
    name: str = Field(default="", max_length=200)
    credential: dict[str, Any]


class ShownPasskeyPayload(Payload):
    next: str = Field(default="", max_length=NEXT_LENGTH_MAX)
    credential: dict[str, Any]


@router.post("/security/passkeys/begin")
async def begin_adding(session: Reading, person: SignedIn, settings: OwnSettings) -> Response:
    _refuse_old_sign_in(person)
    known = [one.credential_id for one in await passkeys_of(session, person.guid)]
    place = Place.of(settings.public_url)
    asked = ask_for_new(place, login=person.login, name=person.name, account_id=person.guid, known=known)
    return _asked(settings, asked, str(person.guid))


@router.post("/security/passkeys")
async def add(
    request: Request,
    session: Writing,
    person: SignedIn,
    settings: OwnSettings,
    shown: Annotated[NewPasskeyPayload, Body()],
) -> Response:
    _refuse_old_sign_in(person)
    challenge = _challenge(request, settings, str(person.guid))
    made = check_new(Place.of(settings.public_url), shown.credential, challenge)
    await add_passkey(session, person.guid, made, challenge, name=shown.name)
    response = JSONResponse({"location": f"{settings.public_path}/security"})
    CHALLENGE.drop(response, settings)
    return response


@router.post("/security/passkeys/{passkey_id}/remove")
async def remove(
    request: Request, session: Writing, person: SignedIn, settings: OwnSettings, passkey_id: UUID
) -> Response:
    if not is_recent(person):
        return sign_in_again(settings, person, "/security")
    await remove_passkey(session, person.guid, passkey_id)
    return toast(redirect(request, "/security"), _("The passkey is removed."))


@router.post("/sign-in/passkey/begin")
async def begin_sign_in(settings: OwnSettings) -> Response:
    return _asked(settings, ask_for_sign_in(Place.of(settings.public_url)), "")


@router.post("/sign-in/passkey")
async def take_passkey(
    request: Request, person: Person, settings: OwnSettings, shown: Annotated[ShownPasskeyPayload, Body()]
) -> Response:
    """Count, then check, as with a password."""
    database = runtime_of(request).database
    seat = seat_of(request, person.session_id if person is not None else None)
    async with database.single_writes() as session:
        admitted = await admit_address(session, settings, seat.address)
    try:
        # Whoever has to wait is told what everybody is told.
        challenge = _challenge(request, settings, "" if admitted else TOO_MANY)
        async with database.transaction() as session:
            secret = await sign_in_by_passkey(
                session, settings, Place.of(settings.public_url), shown.credential, challenge, seat=seat
            )
    except WrongPasskey:
        async with database.transaction() as session:
            note_failed_sign_in(session, None, reason="wrong passkey")
        raise
    response = JSONResponse({"location": safe_next(settings, shown.next)})
    set_cookie(response, settings, secret)
    CHALLENGE.drop(response, settings)
    return response


def _asked(settings: AuthSettings, asked: Asked, owner: str) -> Response:
    response = JSONResponse(asked.options)
    CHALLENGE.keep(response, settings, f"{owner}:{base64.b64encode(asked.challenge).decode()}")
    return response


def _challenge(request: Request, settings: AuthSettings, owner: str) -> bytes:
    """What this browser was asked for this purpose, a short while ago."""
    asked_of, _colon, text = (CHALLENGE.read(request, settings) or "").partition(":")
    if not text or asked_of != owner:
        raise WrongPasskey(NOT_TAKEN)
    return base64.b64decode(text)


def _refuse_old_sign_in(person: Subject) -> None:
    if not is_recent(person):
        raise RecentSignInNeeded(_("Sign in once more before you change this."))
