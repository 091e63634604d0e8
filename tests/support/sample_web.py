"""A service's web process inside the test, on its real database, with a browser in front of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from fastapi import APIRouter, FastAPI

from service_kit.context import Context
from service_kit.serving.runtime import Runtime
from service_kit.web import create_app
from tests.support.issuer import Issuer
from tests.support.services import Service

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
PAGE = {"Accept": "text/html", **SAME_ORIGIN}
HTMX = {"HX-Request": "true", **SAME_ORIGIN}


@dataclass
class Web:
    """One running web process and what it talks to."""

    app: FastAPI
    service: Service
    issuer: Issuer

    @property
    def runtime(self) -> Runtime:
        runtime: Runtime = self.app.state.runtime
        return runtime

    def client(self, **headers: str) -> httpx2.AsyncClient:
        """A client of its own, with its own cookies, in front of the gateway's address."""
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.app),
            base_url=self.service.settings.public_url,
            headers=headers,
        )

    def api(self, **claims: Any) -> httpx2.AsyncClient:
        """A program with an access token."""
        return self.client(**self.issuer.bearer(**claims))


@asynccontextmanager
async def running_web(
    service: Service, routers: Sequence[APIRouter], issuer: Issuer, **arguments: Any
) -> AsyncIterator[Web]:
    """The web process of `service` with these routes; the issuer answers its calls."""
    context = service.database.context
    assert isinstance(context, Context)
    app = create_app(
        service.settings,
        title="Sample",
        package=arguments.pop("package", "service_kit"),
        routers=routers,
        clock=service.clock,
        schemas=context.schemas,
        transport=issuer.transport,
        **arguments,
    )
    async with app.router.lifespan_context(app):
        yield Web(app, service, issuer)


async def sign_in(client: httpx2.AsyncClient, issuer: Issuer, next_path: str = "") -> httpx2.Response:
    """Go the whole way of a browser: to the issuer and back with a session."""
    leaving = await client.get("login", params={"next": next_path})
    return await client.get(issuer.authorize(leaving.headers["Location"]))
