"""Signing out: by the button of our own pages, or on a client's request (RP-Initiated Logout 1.0)."""

from typing import Annotated
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from auth_service.commands.sessions import end_session
from auth_service.domain.tokens import read_id_token_hint
from auth_service.pages.sign_on import KeysDep, OwnSettings, Person, drop_cookie
from auth_service.queries.clients import may_return_to
from auth_service.settings import AuthSettings
from service_kit.database import ReadSession
from service_kit.pages import render
from service_kit.serving.frame import is_own_form, let_forms_lead_to
from service_kit.web import Reading, ServiceRouter, Writing, runtime_of

router = ServiceRouter(include_in_schema=False)

SEE_OTHER = 303
LENGTH_MAX = 4096
FIELDS_MAX = 50
ASKED = frozenset({"id_token_hint", "client_id", "post_logout_redirect_uri", "state"})


class WayBack(BaseModel):
    """Where a client wants to have the person back."""

    client_id: str = Field(default="", max_length=LENGTH_MAX)
    post_logout_redirect_uri: str = Field(default="", max_length=LENGTH_MAX)
    state: str = Field(default="", max_length=LENGTH_MAX)

    async def address(self, session: ReadSession, settings: AuthSettings) -> str:
        """The client's address when it is registered letter by letter, our own farewell otherwise."""
        back = self.post_logout_redirect_uri
        if not back or not await may_return_to(session, self.client_id, back):
            return f"{settings.public_path}/signed-out"
        if not self.state:
            return back
        separator = "&" if urlsplit(back).query else "?"
        return f"{back}{separator}{urlencode({'state': self.state})}"


async def asked_by_query(
    client_id: Annotated[str, Query(max_length=LENGTH_MAX)] = "",
    post_logout_redirect_uri: Annotated[str, Query(max_length=LENGTH_MAX)] = "",
    state: Annotated[str, Query(max_length=LENGTH_MAX)] = "",
) -> WayBack:
    return WayBack(client_id=client_id, post_logout_redirect_uri=post_logout_redirect_uri, state=state)


@router.get("/logout")
async def leave_for_client(
    request: Request,
    session: Reading,
    person: Person,
    settings: OwnSettings,
    keys: KeysDep,
    back: Annotated[WayBack, Depends(asked_by_query)],
    id_token_hint: Annotated[str, Query(max_length=LENGTH_MAX)] = "",
) -> Response:
    """End the session that the client's ID token names; without one the person is asked first."""
    ring = await keys.ring(session)
    hint = read_id_token_hint(id_token_hint, ring.public, issuer=settings.issuer) if id_token_hint else None
    named = None
    if hint is not None and back.client_id in {"", hint["aud"]}:
        named = UUID(hint["sid"])
        back = back.model_copy(update={"client_id": hint["aud"]})
    if person is not None and person.session_id != named:
        address = await back.address(session, settings)
        if not address.startswith("/"):
            let_forms_lead_to(request, address)
        return render(request, "auth/sign_out.html", {"back": back})
    response = RedirectResponse(await back.address(session, settings), SEE_OTHER)
    if named is not None:
        # A GET that writes: who holds the ID token of a session may end it.
        async with runtime_of(request).database.transaction() as writing:
            actor_id = person.guid if person is not None else None
            await end_session(writing, named, actor_id=actor_id, reason="signed out at a client")
    drop_cookie(response, settings)
    return response


@router.post("/logout")
async def leave(request: Request, session: Writing, person: Person, settings: OwnSettings) -> Response:
    """End the session of this browser; every client that took part in it is told.

    Only our own pages end it without a question: a client's form (RP-Initiated Logout 1.0, 2) is led to the
    address that asks, with which the browser brings our cookie along.
    """
    form = await request.form(max_fields=FIELDS_MAX, max_files=0)
    asked = {
        name: value
        for name, value in form.items()
        if name in ASKED and isinstance(value, str) and len(value) <= LENGTH_MAX
    }
    if "id_token_hint" in asked or not is_own_form(request, settings):
        return RedirectResponse(f"{settings.public_path}/logout?{urlencode(asked)}", SEE_OTHER)
    if person is not None:
        await end_session(session, person.session_id, actor_id=person.guid, reason="signed out")
    back = WayBack.model_validate(asked)
    response = RedirectResponse(await back.address(session, settings), SEE_OTHER)
    drop_cookie(response, settings)
    return response


@router.get("/signed-out")
async def signed_out(request: Request) -> Response:
    return render(request, "auth/signed_out.html")
