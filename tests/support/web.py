"""A service's web process inside a test: asked over ASGI, with tokens of an issuer made for the test."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI, Request
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.types import ASGIApp

from service_kit.context import Context
from service_kit.identity import CurrentUser
from service_kit.identity.tokens import PublishedKeys, Verifier
from service_kit.serving.connections import HttpConnection
from tests.support.running import eventually
from tests.support.services import Service

KEY_ID = "test-key"
SESSION_COOKIE = "test-session"


@dataclass
class Web:
    """`web.api(actor)` calls with a bearer token, `web.browser(actor)` like a signed-in browser."""

    service: Service
    app: FastAPI
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": KEY_ID}))
    _signed_in: dict[str, CurrentUser] = field(default_factory=dict)

    def token(self, actor: CurrentUser, *, key: ECKey | None = None, **claims: object) -> str:
        now = int(time.time())
        said = {
            "iss": self.service.settings.issuer,
            "aud": self.service.settings.public_url,
            "sub": str(actor.guid),
            "role": actor.role.value,
            "client_id": self.service.settings.name,
            "iat": now,
            "exp": now + 300,
            **claims,
        }
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": KEY_ID}, said, key or self.key)

    def api(self, actor: CurrentUser) -> httpx2.AsyncClient:
        return self.client(headers={"Authorization": f"Bearer {self.token(actor)}"})

    def browser(self, actor: CurrentUser | None = None, **headers: str) -> httpx2.AsyncClient:
        client = self.client(headers={"Accept": "text/html", "Sec-Fetch-Site": "same-origin", **headers})
        if actor is not None:
            self._signed_in[str(actor.guid)] = actor
            client.cookies.set(SESSION_COOKIE, str(actor.guid))
        return client

    def client(self, **options: Any) -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url=self.service.settings.public_url, **options)

    async def authenticate(self, request: Request) -> CurrentUser | None:
        return self._signed_in.get(request.cookies.get(SESSION_COOKIE, ""))


_composed: dict[tuple[str, str], FastAPI] = {}
_OWN_TO_A_TEST = {"database_url", "letters_folder"}


def _application(service: Service) -> FastAPI:
    """The service's web application on these settings. Composing it takes longer than most tests."""
    told = service.settings.model_dump_json(exclude=_OWN_TO_A_TEST)
    found = _composed.get((service.package, told))
    if found is None:
        found = import_module(f"{service.package}.app").web(service.settings)
        _composed[service.package, told] = found
    found.state.settings = service.settings
    return found


@asynccontextmanager
async def web_process(service: Service) -> AsyncIterator[Web]:
    """The application with the test's database, clock, schemas and issuer in its runtime."""
    app = _application(service)
    web = Web(service, app)
    context = service.database.context
    assert isinstance(context, Context)
    await context.schemas.load(service.says)

    async def keys() -> dict[str, Any]:
        return dict(KeySet([web.key]).as_dict(private=False))

    async with app.router.lifespan_context(app):
        runtime = app.state.runtime
        runtime.database, runtime.clock, runtime.schemas = service.database, service.clock, context.schemas
        runtime.authenticate = web.authenticate
        runtime.verifier = Verifier(
            PublishedKeys(keys),
            issuer=service.settings.issuer,
            audience=service.settings.public_url,
            client_id=service.settings.name,
        )
        yield web


@asynccontextmanager
async def serving(app: ASGIApp, port: int = 0) -> AsyncIterator[int]:
    """The application behind a real port, for clients that bring their own HTTP; answers the port."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=port,
            http=HttpConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    try:
        await eventually(started)
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await task
