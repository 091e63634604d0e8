"""Applications, for administrators: which there are, what they may, whether they would get what they need."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Form, Request, Response

from auth_service.commands.clients import (
    CreatedClient,
    change_client,
    create_client,
    form_of,
    rotate_client_secret,
    switch_client,
)
from auth_service.commands.oauth import KnownClients, OAuthCall, Provider, try_client
from auth_service.domain.clients import GRANTS, SCOPES, ClientForm, lines_of
from auth_service.domain.keys import ID_TOKENS
from auth_service.models import OAuthClient
from auth_service.pages.sign_on import KeysDep, OwnSettings, SignedIn, is_recent, sign_in_again
from auth_service.queries.clients import client as read_client
from auth_service.queries.clients import clients as read_clients
from auth_service.queries.clients import people_at
from service_kit.errors import ServiceError
from service_kit.identity import CurrentUser, Role, require
from service_kit.pages import redirect, render, render_form, toast
from service_kit.paging import Paging
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, runtime_of

router = ServiceRouter(include_in_schema=False)

FIELD_LENGTH_MAX = 1000
LINES_LENGTH_MAX = 11_000
CHOICES_MAX = 20

Admin = Annotated[CurrentUser, require(Role.ADMIN)]
Field = Annotated[str, Form(max_length=FIELD_LENGTH_MAX)]
Lines = Annotated[str, Form(max_length=LINES_LENGTH_MAX)]
Choices = Annotated[list[str], Form(max_length=CHOICES_MAX)]


async def described(
    name: Field = "",
    redirect_uris: Lines = "",
    post_logout_redirect_uris: Lines = "",
    backchannel_logout_uri: Field = "",
    grant_types: Choices = [],  # noqa: B006  FastAPI copies it
    scopes: Choices = [],  # noqa: B006  as above
    audiences: Choices = [],  # noqa: B006  as above
    id_token_alg: Field = ID_TOKENS,
    *,
    third_party: Annotated[bool, Form()] = False,
    without_pkce: Annotated[bool, Form()] = False,
) -> ClientForm:
    """What was typed into the form of an application."""
    return ClientForm(
        name=name,
        redirect_uris=lines_of(redirect_uris),
        post_logout_redirect_uris=lines_of(post_logout_redirect_uris),
        backchannel_logout_uri=backchannel_logout_uri.strip() or None,
        grant_types=tuple(grant_types),
        scopes=tuple(scopes),
        third_party=third_party,
        audiences=tuple(audiences),
        without_pkce=without_pkce,
        id_token_alg=id_token_alg,
    )


Described = Annotated[ClientForm, Depends(described)]


@router.get("/clients")
async def clients(request: Request, session: Reading, admin: Admin, paging: Paging) -> Response:
    del admin
    rows = await read_clients(session, limit=paging.limit, after=paging.after(str))
    page = paging.page(rows, lambda row: (row.client_id,))
    return render(request, "auth/clients.html", {"page": page, "kind_of": _kind})


@router.get("/clients/new")
async def new_client(request: Request, admin: Admin) -> Response:
    del admin
    return _new_form(request, "", ClientForm(name=""))


@router.post("/clients/new")
async def save_new_client(
    request: Request,
    admin: Admin,
    form: Described,
    client_id: Field = "",
    *,
    confidential: Annotated[bool, Form()] = False,
) -> Response:
    try:
        async with runtime_of(request).database.transaction() as session:
            created = await create_client(
                session, admin.guid, client_id=client_id, form=form, confidential=confidential
            )
    except ServiceError as error:
        return _new_form(request, client_id, form, confidential=confidential, error=error)
    if created.secret is not None:
        return _secret_page(request, created)
    return toast(redirect(request, _path(created.client_id)), _("The application is added."))


@router.get("/clients/{client_id}")
async def client(request: Request, session: Reading, admin: Admin, client_id: str) -> Response:
    del admin
    found = await read_client(session, client_id)
    return _page(request, found, await people_at(session, client_id), form_of(found))


@router.post("/clients/{client_id}")
async def save_client(request: Request, admin: Admin, form: Described, client_id: str) -> Response:
    database = runtime_of(request).database
    try:
        async with database.transaction() as session:
            await change_client(session, admin.guid, client_id, form)
        _forget(request)
    except ServiceError as error:
        async with database.reading() as reading:
            found = await read_client(reading, client_id)
            people = await people_at(reading, client_id)
        return _page(request, found, people, form, error=error)
    return toast(redirect(request, _path(client_id)), _("Saved. It counts within five seconds."))


@router.post("/clients/{client_id}/secret")
async def new_secret(
    request: Request, admin: Admin, person: SignedIn, settings: OwnSettings, client_id: str
) -> Response:
    if not is_recent(person):
        return sign_in_again(settings, person, _path(client_id))
    async with runtime_of(request).database.transaction() as session:
        created = await rotate_client_secret(session, admin.guid, client_id)
    _forget(request)
    return _secret_page(request, created)


@router.post("/clients/{client_id}/switch")
async def switch(
    request: Request, admin: Admin, client_id: str, *, disabled: Annotated[bool, Form()]
) -> Response:
    async with runtime_of(request).database.transaction() as session:
        await switch_client(session, admin.guid, client_id, disabled=disabled)
    _forget(request)
    told = _("The application is switched off.") if disabled else _("The application is switched on.")
    return toast(redirect(request, _path(client_id)), told)


@router.post("/clients/{client_id}/test")
async def test(
    request: Request, admin: Admin, person: SignedIn, settings: OwnSettings, keys: KeysDep, client_id: str
) -> Response:
    """Ask in the application's name what it would get, with the admin as its person; nothing of it stays."""
    del admin
    database = runtime_of(request).database
    async with database.reading() as reading:
        found = await read_client(reading, client_id)
        people = await people_at(reading, client_id)
        ring = await keys.ring(reading)
    call = OAuthCall(method="GET", uri=f"{settings.issuer}/authorize")
    async with database.transaction() as session:
        trial = await try_client(session, Provider(settings, ring), call, client_id, person)
    return _page(request, found, people, form_of(found), trial=trial)


def _forget(request: Request) -> None:
    """This process acts on the change at once, the others within five seconds."""
    known: KnownClients = request.app.state.clients
    known.forget()


def _path(client_id: str) -> str:
    return f"/clients/{quote(client_id, safe='')}"


def _kind(client: OAuthClient) -> str:
    if client.jwks is not None:
        return _("proves itself with a key")
    return _("has a secret") if client.secret_digest is not None else _("public")


def _services(request: Request) -> dict[str, str]:
    """Names of the services by their addresses, which are the audiences of tokens."""
    urls = runtime_of(request).settings.public_urls
    return {url.rstrip("/"): name for name, url in urls.items() if name != "gateway"}


def _secret_page(request: Request, created: CreatedClient) -> Response:
    return render(request, "auth/client_secret.html", {"created": created, "path": _path(created.client_id)})


def _new_form(
    request: Request,
    client_id: str,
    form: ClientForm,
    *,
    confidential: bool = True,
    error: ServiceError | None = None,
) -> Response:
    shown = {
        "client_id": client_id,
        "form": form,
        "confidential": confidential,
        "grants": GRANTS,
        "scopes": SCOPES,
        "services": _services(request),
    }
    return render_form(request, "auth/client_new.html", shown, error)


def _page(
    request: Request,
    client: OAuthClient,
    people: int,
    form: ClientForm,
    *,
    trial: object = None,
    error: ServiceError | None = None,
) -> Response:
    shown = {
        "client": client,
        "path": _path(client.client_id),
        "kind": _kind(client),
        "people": people,
        "form": form,
        "grants": GRANTS,
        "scopes": SCOPES,
        "services": _services(request),
        "trial": trial,
    }
    return render_form(request, "auth/client.html", shown, error)
