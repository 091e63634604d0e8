"""What one web process holds while it runs, and how a request reaches it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
from starlette.requests import HTTPConnection, Request

from service_kit.clock import Clock
from service_kit.database import Database
from service_kit.schema_client import SchemaClient
from service_kit.settings import ServiceSettings

if TYPE_CHECKING:
    from service_kit.identity.denials import Denials
    from service_kit.identity.tokens import Verifier
    from service_kit.pages import Pages
    from service_kit.roles import CurrentUser


ReadinessCheck = Callable[[], Awaitable[str | None]]
"""Answers why the process is not ready, or None."""


@dataclass
class Runtime:
    """Made by the lifespan of the application; a service's `setup` may replace what is its own business."""

    settings: ServiceSettings
    package: str
    database: Database
    clock: Clock
    schemas: SchemaClient
    http: httpx2.AsyncClient
    """For the synchronous calls there are: tokens and keys."""
    denials: "Denials"
    """Who was blocked, signed out or given another role lately."""
    verifier: "Verifier"
    pages: "Pages"
    authenticate: "Callable[[Request], Awaitable[CurrentUser | None]]"
    """Who a browser's cookie stands for. The kit's own answer is the session behind the sign-in."""
    sign_in_path: str = "/login"
    readiness: Sequence[ReadinessCheck] = field(default=())
    """Further checks of the service itself."""


def runtime_of(request: HTTPConnection) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def own_path(request: HTTPConnection) -> str:
    """The path inside this service, through the gateway's prefix or at our own port."""
    path: str = request.scope["path"]
    prefix = runtime_of(request).settings.public_path
    if prefix and (path == prefix or path.startswith(prefix + "/")):
        return path.removeprefix(prefix) or "/"
    return path


def public_path(request: HTTPConnection) -> str:
    """The path a browser uses for this request, query included."""
    query = request.url.query
    return runtime_of(request).settings.public_path + own_path(request) + (f"?{query}" if query else "")


def is_api(request: HTTPConnection) -> bool:
    return own_path(request).startswith("/api/")
