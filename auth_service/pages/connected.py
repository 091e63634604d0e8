"""Applications and devices that somebody has let in, and how to shut them out."""

from typing import Annotated

from fastapi import Form, Request, Response

from auth_service.commands.consents import withdraw_consent
from auth_service.domain.clients import SCOPES
from auth_service.pages.sign_on import SignedIn
from auth_service.queries.consents import connected_applications
from service_kit.pages import redirect, render, toast
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, Writing

router = ServiceRouter(include_in_schema=False)

FIELD_LENGTH_MAX = 1000


@router.get("/security/applications")
async def connected(request: Request, session: Reading, person: SignedIn) -> Response:
    found = await connected_applications(session, person.guid)
    return render(request, "auth/connected.html", {"applications": found, "names": SCOPES})


@router.post("/security/applications/withdraw")
async def withdraw(
    request: Request,
    session: Writing,
    person: SignedIn,
    client_id: Annotated[str, Form(max_length=FIELD_LENGTH_MAX)],
) -> Response:
    await withdraw_consent(session, person.guid, client_id.replace("\x00", ""))
    return toast(
        redirect(request, "/security/applications"),
        _("The application is shut out. What it holds ends within five minutes."),
    )
