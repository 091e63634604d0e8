"""Who may change the registry: administrators, and programs that the settings name.

A program shows its OAuth client's id and secret with each request (basic authentication, as tools of the
protocol do), or a token it was given for them.
"""

import asyncio
import hashlib
import time
from base64 import b64decode
from typing import Annotated, Any
from urllib.parse import unquote_plus

import httpx2
import structlog
from fastapi import Depends, Request

from schema_registry import commands
from schema_registry.api.answers import CHANGED
from schema_registry.api.names import with_slashes
from schema_registry.settings import RegistrySettings
from service_kit.errors import Forbidden, Unauthenticated, Unavailable
from service_kit.identity import Role, visitor
from service_kit.serving.runtime import own_path
from service_kit.web import Runtime, Writing, runtime_of

log = structlog.get_logger(__name__)

CREDENTIALS_HOLD_S = 60
"""How long a secret that held is taken to hold still; one that is withdrawn works no longer than this."""


async def writer_only(request: Request) -> str:
    """Find out who changes something. Raises `Unauthenticated` or `Forbidden`."""
    scheme, _space, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        return await _program(request, credentials.strip())
    user = await visitor(request)
    if user is None:
        raise Unauthenticated("Changing the registry needs the access token of an administrator.")
    if user.role is not Role.ADMIN:
        raise Forbidden("Only administrators change the registry.")
    return str(user.guid)


async def writer(request: Request, session: Writing) -> str:
    """Whoever changes something, with the change written down beside it."""
    found = await writer_only(request)
    await note_change(request, session, found, {})
    return found


async def note_change(request: Request, session: Writing, author: str, details: dict[str, Any]) -> None:
    path = with_slashes(own_path(request))
    # PostgreSQL's JSON has no place for zero characters, which some parameter of no meaning may bring.
    query = {name.replace("\0", ""): value.replace("\0", "") for name, value in request.query_params.items()}
    await commands.note_change(session, author, request.method, path, query | details)
    # This process hears of the change a moment after the answer; whoever made it may ask in that moment.
    setattr(request.state, CHANGED, True)
    log.info("registry_changed", method=request.method, path=path, account=author)


async def _program(request: Request, credentials: str) -> str:
    runtime = runtime_of(request)
    assert isinstance(runtime.settings, RegistrySettings)  # noqa: S101  narrows the type for mypy
    known: Credentials = request.app.state.credentials
    client_id = await known.client_of(runtime, credentials)
    if client_id not in runtime.settings.writing_clients:
        raise Forbidden("This program may read the registry and not change it.")
    return f"client:{client_id}"


class Credentials:
    """Secrets of programs, checked by the issuer and remembered for a while as digests."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[str, float]] = {}
        self._asking = asyncio.Lock()

    async def client_of(self, runtime: Runtime, credentials: str) -> str:
        """The id of the client that these credentials belong to. Raises `Unauthenticated`."""
        digest = hashlib.sha256(credentials.encode()).digest()
        async with self._asking:
            found = self._known.get(digest)
            if found is None or found[1] < time.monotonic():
                found = (await self._asked(runtime, credentials), time.monotonic() + CREDENTIALS_HOLD_S)
                self._known = {key: one for key, one in self._known.items() if one[1] > time.monotonic()}
                self._known[digest] = found
            return found[0]

    async def _asked(self, runtime: Runtime, credentials: str) -> str:
        client_id = _id_in(credentials)
        try:
            answer = await runtime.http.post(
                f"{runtime.settings.auth_url}/token",
                data={"grant_type": "client_credentials"},
                headers={"Authorization": f"Basic {credentials}"},
            )
        except httpx2.HTTPError as error:
            raise Unavailable("The secret cannot be checked at the moment.") from error
        if answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
            raise Unavailable("The secret cannot be checked at the moment.")
        if not answer.is_success:
            raise Unauthenticated("These are not the id and the secret of a program.")
        return client_id


def _id_in(credentials: str) -> str:
    try:
        client_id, _colon, _secret = b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        raise Unauthenticated("Basic credentials are an id, a colon and a secret in base 64.") from None
    return unquote_plus(client_id)


async def reader(request: Request) -> None:
    """Everybody may read, unless a setting closes the way through the gateway."""
    runtime = runtime_of(request)
    assert isinstance(runtime.settings, RegistrySettings)  # noqa: S101  narrows the type for mypy
    if not runtime.settings.reading_closed or own_path(request) == request.scope["path"]:
        return
    scheme, _space, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        known: Credentials = request.app.state.credentials
        await known.client_of(runtime, credentials.strip())
    elif await visitor(request) is None:
        raise Unauthenticated("Sign in, or show a token, to read here.")


Writer = Annotated[str, Depends(writer)]
Reader = Depends(reader)
"""Stands before every route, pages included."""
