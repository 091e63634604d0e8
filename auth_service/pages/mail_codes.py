"""Sign-in by a code in a letter: for whoever has no password at hand."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from auth_service.commands.guesses import admit_address, admit_letter
from auth_service.commands.mail_codes import admit_mail_guess, ask_for_mail_code, sign_in_by_mail_code
from auth_service.commands.sign_in import note_failed_sign_in
from auth_service.pages.sign_in import lead_on
from auth_service.pages.sign_on import (
    MAIL_CODE,
    OwnSettings,
    Person,
    address_of,
    let_sign_in_lead_on,
    safe_next,
    seat_of,
)
from service_kit.ids import new_id
from service_kit.pages import render
from service_kit.text import message as _
from service_kit.web import ServiceRouter, runtime_of

router = ServiceRouter(include_in_schema=False)

SEE_OTHER = 303
FIELD_LENGTH_MAX = 1000
NAME_LENGTH_MAX = 255
NEXT_LENGTH_MAX = 8000
WRONG_CODE = _("This code is not right, or it is too old, or there were too many tries. Ask for a new one.")


@router.get("/sign-in/letter")
async def letter_page(
    request: Request,
    settings: OwnSettings,
    next_path: Annotated[str, Query(alias="next", max_length=NEXT_LENGTH_MAX)] = "",
) -> Response:
    return render(request, "auth/sign_in_letter.html", {"next_path": safe_next(settings, next_path)})


@router.post("/sign-in/letter")
async def ask(
    request: Request,
    settings: OwnSettings,
    name: Annotated[str, Form(max_length=FIELD_LENGTH_MAX)] = "",
    next_path: Annotated[str, Form(alias="next", max_length=NEXT_LENGTH_MAX)] = "",
) -> Response:
    """The answer is the same for everybody: a form for the code."""
    named = name.replace("\x00", "").strip().lower()[:NAME_LENGTH_MAX]
    async with runtime_of(request).database.transaction() as session:
        admitted = await admit_letter(session, settings, named, address_of(request))
        code_id = await ask_for_mail_code(session, named) if admitted and named else new_id()
    response = RedirectResponse(f"{settings.public_path}/sign-in/letter/code", SEE_OTHER)
    MAIL_CODE.keep(response, settings, orjson.dumps([str(code_id), safe_next(settings, next_path)]).decode())
    return response


@router.get("/sign-in/letter/code")
async def code_page(request: Request, settings: OwnSettings) -> Response:
    asked = _asked(request, settings)
    if asked is None:
        return RedirectResponse(f"{settings.public_path}/sign-in/letter", SEE_OTHER)
    await let_sign_in_lead_on(request, settings, asked[1])
    return render(request, "auth/sign_in_letter_code.html", {"error": None})


@router.post("/sign-in/letter/code")
async def take_code(
    request: Request,
    person: Person,
    settings: OwnSettings,
    code: Annotated[str, Form(max_length=FIELD_LENGTH_MAX)] = "",
) -> Response:
    """Counted and committed before it is checked, like every guess."""
    asked = _asked(request, settings)
    if asked is None:
        return RedirectResponse(f"{settings.public_path}/sign-in/letter", SEE_OTHER)
    code_id, target = asked
    database = runtime_of(request).database
    seat = seat_of(request, person.session_id if person is not None else None)
    async with database.transaction() as session:
        # The code before the address, as whoever signs in by it takes them: else two at once stop each other.
        by_code = await admit_mail_guess(session, code_id)
        admitted = await admit_address(session, settings, seat.address) and by_code
    done = None
    if admitted:
        async with database.transaction() as session:
            done = await sign_in_by_mail_code(session, settings, code_id, code, seat=seat)
    if done is None:
        async with database.transaction() as session:
            reason = "wrong code of a letter" if admitted else "too many codes"
            note_failed_sign_in(session, None, reason=reason)
        await let_sign_in_lead_on(request, settings, target)
        return render(request, "auth/sign_in_letter_code.html", {"error": WRONG_CODE}, status=401)
    response = lead_on(settings, target, done)
    MAIL_CODE.drop(response, settings)
    return response


def _asked(request: Request, settings: OwnSettings) -> tuple[UUID, str] | None:
    """Which code this browser asked for, and where it wants to go."""
    text = MAIL_CODE.read(request, settings)
    if text is None:
        return None
    code_id, target = orjson.loads(text)
    return UUID(code_id), safe_next(settings, target)
