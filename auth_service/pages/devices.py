"""Letting a device in that has no keyboard: type its code, see what asks, decide."""

from typing import Annotated

from fastapi import Form, Query, Request, Response

from auth_service.commands.devices import UnknownUserCode, asking_device, decide_device
from auth_service.commands.guesses import admit_user_code
from auth_service.domain.clients import SCOPES
from auth_service.domain.devices import as_shown
from auth_service.pages.sign_on import SignedIn
from service_kit.pages import redirect, render, toast
from service_kit.text import message as _
from service_kit.web import ServiceRouter, Writing, runtime_of

router = ServiceRouter(include_in_schema=False)

CODE_LENGTH_MAX = 40
NOT_FOUND = _("No device shows this code, or too many were tried. Look at the device again.")

UserCode = Annotated[str, Form(max_length=CODE_LENGTH_MAX)]


@router.get("/device")
async def device(
    request: Request, person: SignedIn, user_code: Annotated[str, Query(max_length=CODE_LENGTH_MAX)] = ""
) -> Response:
    del person
    return render(request, "auth/device.html", {"user_code": user_code, "error": None})


@router.post("/device")
async def show_device(request: Request, person: SignedIn, user_code: UserCode = "") -> Response:
    """Show who asks. The try is counted and committed before the code is looked up."""
    database = runtime_of(request).database
    async with database.transaction() as session:
        admitted = await admit_user_code(session, person.guid)
    again = {"user_code": user_code, "error": NOT_FOUND}
    if not admitted:
        return render(request, "auth/device.html", again, status=UnknownUserCode.status)
    try:
        async with database.transaction() as session:
            grant, client = await asking_device(session, user_code)
    except UnknownUserCode:
        return render(request, "auth/device.html", again, status=UnknownUserCode.status)
    return render(
        request,
        "auth/device_confirm.html",
        {
            "user_code": as_shown(user_code),
            "client": client.name,
            "scopes": [SCOPES.get(scope, scope) for scope in grant.scope.split()],
        },
    )


@router.post("/device/decide")
async def decide(
    request: Request,
    session: Writing,
    person: SignedIn,
    user_code: UserCode,
    *,
    allowed: Annotated[bool, Form()],
) -> Response:
    await decide_device(session, person, user_code, allowed=allowed)
    told = _("The device is let in. You can go on there.") if allowed else _("The device is sent away.")
    return toast(redirect(request, "/"), told)
