"""Composition of the web process: protocol endpoints, pages, account API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from joserfc.jwk import Key

from auth_service.api import accounts as accounts_api
from auth_service.api import protocol, registration, verification
from auth_service.commands.accounts import create_first_admin
from auth_service.commands.clients import upsert_clients
from auth_service.commands.keys import ensure_keys
from auth_service.commands.oauth import KnownClients
from auth_service.commands.passwords import Passwords
from auth_service.domain.tokens import read_access_token
from auth_service.events import SAYS
from auth_service.pages import (
    accounts,
    applications,
    audit,
    authorizing,
    clients,
    connected,
    devices,
    home,
    joining,
    mail_codes,
    passkeys,
    passwords,
    people,
    profile,
    security,
    sign_in,
    sign_on,
    sign_out,
    statistics,
)
from auth_service.pages import keys as keys_pages
from auth_service.queries.keys import Keys
from auth_service.queries.sessions import person_of_token
from auth_service.settings import AuthSettings
from service_kit.clock import Clock
from service_kit.database import Database
from service_kit.errors import Unavailable
from service_kit.identity import CurrentUser
from service_kit.identity.tokens import InvalidToken, Verifier
from service_kit.schema_client import SchemaClient
from service_kit.settings import ServiceSettings
from service_kit.text import message as _
from service_kit.tracing.pages import trace_routes
from service_kit.web import Runtime, create_app

log = structlog.get_logger(__name__)

RETRY_S = 0.2


class OwnKeys:
    """Our public keys for our own verifier: read where they are kept, not fetched from ourselves."""

    def __init__(self, keys: Keys, database: Database) -> None:
        self._keys = keys
        self._database = database

    async def find(self, kid: str | None) -> Key | None:
        async with self._database.single_reads() as session:
            ring = await self._keys.ring(session)
        return next((key for key in ring.public.keys if key.kid == kid), None)


class OwnVerifier(Verifier):
    """Tokens at our own door: here token, session and account can simply be asked."""

    def __init__(self, keys: Keys, database: Database, settings: AuthSettings) -> None:
        super().__init__(
            OwnKeys(keys, database),
            issuer=settings.issuer,
            audience=settings.public_url,
            client_id=settings.name,
        )
        self._ring = keys
        self._database = database
        self._settings = settings

    async def current_user(self, token: str) -> CurrentUser:
        person = None
        async with self._database.single_reads() as session:
            ring = await self._ring.ring(session)
            claims = read_access_token(
                token, ring.public, issuer=self._settings.issuer, audience=self._settings.public_url
            )
            if claims is not None:
                person = await person_of_token(session, claims)
        if claims is None or person is None or person.role != claims.get("role"):
            raise InvalidToken(_("This token does not hold. Get a new one and try again."))
        return CurrentUser(guid=person.guid, role=person.role, name=person.name, session_id=claims.get("sid"))


@asynccontextmanager
async def stand_up(app: FastAPI, runtime: Runtime) -> AsyncIterator[None]:
    """Make keys and clients, and the first administrator as soon as its fact can be said."""
    settings = own_settings(runtime.settings)
    secret_key = settings.secret_key.get_secret_value()
    app.state.keys = keys = Keys(secret_key)
    app.state.passwords = pool = Passwords()
    app.state.clients = KnownClients()
    app.state.client_guesses = protocol.ClientGuesses()
    runtime.authenticate = sign_on.authenticate
    runtime.sign_in_path = "/sign-in"
    runtime.verifier = OwnVerifier(keys, runtime.database, settings)
    async with runtime.database.transaction() as session:
        await ensure_keys(session, secret_key)
        await upsert_clients(session, settings)
    first_admin = asyncio.create_task(_ensure_first_admin(runtime, settings, pool))

    async def somebody_can_sign_in() -> str | None:
        if not first_admin.done():
            return "the first administrator is not made yet"
        error = first_admin.exception()
        return None if error is None else f"the first administrator could not be made: {error!r}"

    runtime.readiness = [*runtime.readiness, somebody_can_sign_in]
    try:
        yield
    finally:
        first_admin.cancel()
        await asyncio.gather(first_admin, return_exceptions=True)
        pool.close()


async def _ensure_first_admin(runtime: Runtime, settings: AuthSettings, pool: Passwords) -> None:
    login, password = settings.first_admin_login, settings.first_admin_password
    if login is None or password is None:
        return
    password_hash = await pool.make(password.get_secret_value())
    while True:
        try:
            async with runtime.database.transaction() as session:
                created = await create_first_admin(
                    session, login=login, password_hash=password_hash, time_zone=settings.business_time_zone
                )
        except Unavailable:
            # The registry starts beside us; nothing is said before it knows our facts.
            await asyncio.sleep(RETRY_S)
        else:
            if created is not None:
                log.info("first_admin_created", account=str(created.id))
            return


def own_settings(settings: ServiceSettings) -> AuthSettings:
    if not isinstance(settings, AuthSettings):
        raise TypeError(f"{type(settings).__name__} are not the settings of auth_service")
    return settings


def web(
    settings: ServiceSettings, *, clock: Clock | None = None, schemas: SchemaClient | None = None
) -> FastAPI:
    """Make the ASGI application. Clock and schemas are made from the settings unless they are given."""
    return create_app(
        settings,
        title="aTES auth",
        package="auth_service",
        routers=[
            # Searched in this order: what is asked most stands first.
            protocol.exchanges,
            sign_in.router,
            protocol.router,
            verification.router,
            registration.router,
            accounts_api.router,
            authorizing.router,
            sign_out.router,
            passwords.router,
            mail_codes.router,
            joining.router,
            people.router,
            home.router,
            profile.router,
            security.router,
            passkeys.router,
            devices.router,
            connected.router,
            accounts.router,
            applications.router,
            audit.router,
            clients.router,
            keys_pages.router,
            statistics.router,
            trace_routes(),
        ],
        says=SAYS,
        setup=stand_up,
        # OpenID Connect wants requests by form as well (Core, 3.1.2.1; RP-Initiated Logout, 2), from whatever
        # site the client is.
        open_forms=["/authorize", "/logout"],
        signs_in=False,
        clock=clock,
        schemas=schemas,
    )
