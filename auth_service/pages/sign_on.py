"""The browser's side of the single sign-on session: its cookie, who it stands for, where one may go next."""

import time
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from auth_service.commands.oauth import ProviderClient
from auth_service.commands.passwords import Passwords
from auth_service.commands.sessions import Seat
from auth_service.domain.programs import program_name
from auth_service.domain.tokens import Subject
from auth_service.queries.clients import client_if_known
from auth_service.queries.keys import Keys
from auth_service.queries.sessions import signed_in
from auth_service.settings import AuthSettings
from service_kit.errors import Unauthenticated
from service_kit.identity import CurrentUser, visitor
from service_kit.identity.sessions import Sealer
from service_kit.pages import toast
from service_kit.serving.frame import let_forms_lead_to
from service_kit.serving.runtime import runtime_of
from service_kit.text import message as _

SEE_OTHER = 303
COOKIE = "ates-auth"
SECRET_LENGTH_MAX = 100
NEXT_LENGTH_MAX = 8000
BEGIN = "/begin"
"""Leads everybody to where their role begins the day."""

RECENT_S = 600
FIELDS_MAX = 50


async def settings_of(request: Request) -> AuthSettings:
    settings = runtime_of(request).settings
    assert isinstance(settings, AuthSettings)  # noqa: S101  narrows the type for mypy
    return settings


async def keys_of(request: Request) -> Keys:
    keys: Keys = request.app.state.keys
    return keys


async def passwords_of(request: Request) -> Passwords:
    passwords: Passwords = request.app.state.passwords
    return passwords


async def authenticate(request: Request) -> CurrentUser | None:
    """Tell the kit who is signed in in this browser; asked of the database once per request."""
    person = request.state.person = await _read_person(request)
    if person is None:
        return None
    return CurrentUser(
        guid=person.guid,
        role=person.role,
        name=person.name,
        locale=person.locale,
        session_id=str(person.session_id),
    )


async def person_of(request: Request) -> Subject | None:
    """The same person with everything we know of them."""
    await visitor(request)
    return getattr(request.state, "person", None)


async def present_person(request: Request) -> Subject:
    person = await person_of(request)
    if person is None:
        raise Unauthenticated(_("Sign in to go on."))
    return person


Person = Annotated[Subject | None, Depends(person_of)]
SignedIn = Annotated[Subject, Depends(present_person)]
OwnSettings = Annotated[AuthSettings, Depends(settings_of)]
KeysDep = Annotated[Keys, Depends(keys_of)]
PasswordsDep = Annotated[Passwords, Depends(passwords_of)]


def set_cookie(response: Response, settings: AuthSettings, secret: str) -> None:
    # Lax, not Strict: the redirect from a client to us has to bring it along.
    response.set_cookie(
        _cookie_name(settings),
        secret,
        max_age=settings.session_absolute_s,
        path="/",
        secure=settings.secure,
        httponly=True,
        samesite="lax",
    )


def drop_cookie(response: Response, settings: AuthSettings) -> None:
    response.delete_cookie(
        _cookie_name(settings), path="/", secure=settings.secure, httponly=True, samesite="lax"
    )


@dataclass(frozen=True, slots=True)
class ShortCookie:
    """Something a browser keeps for us for a short while, sealed when it has a purpose of its own."""

    suffix: str
    lasts_s: int
    purpose: str | None
    samesite: Literal["lax", "strict"] = "lax"

    def keep(self, response: Response, settings: AuthSettings, text: str) -> None:
        if self.purpose is not None:
            text = self._sealer(settings, self.purpose).seal(text).decode()
        response.set_cookie(
            self._name(settings),
            text,
            max_age=self.lasts_s,
            path="/",
            secure=settings.secure,
            httponly=True,
            samesite=self.samesite,
        )

    def read(self, request: Request, settings: AuthSettings) -> str | None:
        """What was kept; None when there is nothing, or nothing that still holds."""
        kept = request.cookies.get(self._name(settings))
        if not kept or self.purpose is None:
            return kept or None
        return self._sealer(settings, self.purpose).open(kept.encode(), ttl_s=self.lasts_s)

    def drop(self, response: Response, settings: AuthSettings) -> None:
        response.delete_cookie(
            self._name(settings), path="/", secure=settings.secure, httponly=True, samesite=self.samesite
        )

    def _name(self, settings: AuthSettings) -> str:
        return f"{_cookie_name(settings)}-{self.suffix}"

    @staticmethod
    def _sealer(settings: AuthSettings, purpose: str) -> Sealer:
        return Sealer(settings.secret_key.get_secret_value(), purpose)


HALF = ShortCookie("half", 300, "half signed in")
"""The first half of a sign-in."""

LINK = ShortCookie("link", 1800, None)
"""The secret of a letter's link, while the person chooses a password."""

CHALLENGE = ShortCookie("passkey", 300, "passkey", "strict")
"""What a passkey has to answer, in the browser that was asked."""

MAIL_CODE = ShortCookie("letter", 600, "mail code")
"""Which letter this browser asked for: its code is good in no other."""


def is_recent(person: Subject) -> bool:
    """Whether this person has signed in within the last minutes, or only left the browser open."""
    return time.time() - person.authenticated_at < RECENT_S


async def let_sign_in_lead_on(request: Request, settings: AuthSettings, target: str) -> None:
    """Browsers hold the redirects after a form to the page's policy: name the client's site where it ends.

    Only an address that the client has registered is named; any other would be refused later anyway.
    """
    path, _question, query = target.partition("?")
    if path != f"{settings.public_path}/authorize":
        return
    asked = dict(parse_qsl(query, max_num_fields=FIELDS_MAX)) if query.count("&") < FIELDS_MAX else {}
    client_id, address = asked.get("client_id", ""), asked.get("redirect_uri", "")
    if not address or "\x00" in client_id:
        return
    async with runtime_of(request).database.single_reads() as session:
        client = await client_if_known(session, client_id)
    if client is not None and ProviderClient(client).check_redirect_uri(address):
        let_forms_lead_to(request, address)


def sign_in_again(settings: AuthSettings, person: Subject, back: str) -> Response:
    """Weighty things are done by somebody who has just signed in, not by whoever finds an open browser."""
    query = urlencode({"next": settings.public_path + back, "login": person.login, "again": "1"})
    response = RedirectResponse(f"{settings.public_path}/sign-in?{query}", SEE_OTHER)
    return toast(response, _("Sign in once more before you change this."), kind="info")


def safe_next(settings: AuthSettings, path: str | None) -> str:
    """A page of ours; everything that a browser could read as another site is refused.

    Without one it is where this person's day begins.
    """
    begin = settings.public_path + BEGIN
    if path is None or not path.startswith(f"{settings.public_path}/") or path.startswith("//"):
        return begin
    plain = path.isascii() and path.isprintable() and "\\" not in path
    return path if plain and len(path) <= NEXT_LENGTH_MAX else begin


def seat_of(request: Request, session_id: UUID | None) -> Seat:
    """Where somebody signs in: network address, browser, and the session that browser had."""
    return Seat(address_of(request), program_name(request.headers.get("User-Agent", "")), session_id)


def address_of(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _cookie_name(settings: AuthSettings) -> str:
    return f"__Host-{COOKIE}" if settings.secure else COOKIE


async def _read_person(request: Request) -> Subject | None:
    settings = await settings_of(request)
    secret = request.cookies.get(_cookie_name(settings))
    if not secret or len(secret) > SECRET_LENGTH_MAX:
        return None
    async with runtime_of(request).database.single_reads() as session:
        return await signed_in(session, settings, secret)
