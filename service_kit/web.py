"""The door to the web half of the kit: `create_app` composes a web process, routes take their needs here."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Annotated

import httpx2
from fastapi import APIRouter, FastAPI, Form, Request, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse

from service_kit.assets import serve_asset
from service_kit.clock import Clock, SystemClock
from service_kit.context import Context
from service_kit.database import Database
from service_kit.errors import NotFound
from service_kit.events import Event
from service_kit.identity.denials import Denials
from service_kit.identity.hearing import hear_denials
from service_kit.identity.people import visitor
from service_kit.identity.signin import SignIn, sign_in_routes
from service_kit.identity.tokens import PublishedKeys, Verifier, fetch_over_http
from service_kit.pages import Pages, render
from service_kit.roles import CurrentUser
from service_kit.schema_client import SchemaClient
from service_kit.serving.beside import beside
from service_kit.serving.failures import field_errors, handle_failures
from service_kit.serving.frame import ANSWER_WITHIN_S, LOCALE_COOKIE, Frame
from service_kit.serving.payloads import Line, Payload
from service_kit.serving.runtime import Runtime, own_path, runtime_of
from service_kit.serving.transactions import (
    ClockDep,
    Reading,
    ServiceRoute,
    ServiceRouter,
    SettingsDep,
    SingleWriting,
    Writing,
)
from service_kit.settings import ServiceSettings
from service_kit.text import LOCALES
from service_kit.trust import trusted

__all__ = [
    "ClockDep",
    "Line",
    "Payload",
    "Reading",
    "Runtime",
    "ServiceRoute",
    "ServiceRouter",
    "SettingsDep",
    "SingleWriting",
    "Writing",
    "create_app",
    "field_errors",
    "runtime_of",
]

Setup = Callable[[FastAPI, Runtime], AbstractAsyncContextManager[None]]
"""What a service adds to its process: entered when the runtime stands, left before it is taken down."""

SEE_OTHER = 303
CALL_TIMEOUT_S = 5
LOCALE_KEPT_S = 365 * 24 * 3600


def create_app(
    settings: ServiceSettings,
    *,
    title: str,
    package: str,
    routers: Sequence[APIRouter],
    says: Sequence[type[Event]] = (),
    setup: Setup | None = None,
    uploads: Mapping[str, int] | None = None,
    open_forms: Collection[str] = (),
    signs_in: bool = True,
    answer_within_s: float = ANSWER_WITHIN_S,
    clock: Clock | None = None,
    schemas: SchemaClient | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> FastAPI:
    """Compose the web process of a service.

    The process answers at once, but is not ready before the registry knows every event version in `says`.
    `uploads` names the paths whose bodies may be larger than others', with their bytes at most;
    `open_forms` those that take forms of other sites too: what they do, a link from there could do as well.
    Clock, schemas and the transport of calls to the issuer are made from the settings unless they are given.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Asked for anew: a test runs the same application on one database after the other.
        settings: ServiceSettings = app.state.settings
        async with AsyncExitStack() as stack:
            runtime = await _stand_up(
                settings,
                package,
                stack,
                clock=clock or SystemClock.of(settings),
                schemas=schemas or SchemaClient.configured(settings),
                transport=transport,
            )
            app.state.runtime = runtime
            if signs_in:
                app.state.sign_in = sign_in = SignIn(runtime)
                stack.push_async_callback(sign_in.close)
                runtime.authenticate = sign_in.authenticate
                denials = partial(hear_denials, settings, runtime.denials)
                await stack.enter_async_context(beside("denials", denials))
                await stack.enter_async_context(beside("ended_sessions", sign_in.hear))
            # Known before the look-up takes its first step, so that no false readiness lies between.
            runtime.schemas.missing = {event.type_name() for event in says}
            await stack.enter_async_context(beside("schemas", partial(runtime.schemas.keep, says)))
            if setup is not None:
                await stack.enter_async_context(setup(app, runtime))
            yield

    app = FastAPI(
        title=title,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # The kit's own telemetry names the same things in every process, web or worker.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        servers=[{"url": settings.public_url}],
        root_path_in_servers=False,
    )
    app.state.settings = settings
    handle_failures(app)
    app.add_middleware(
        Frame,
        settings=settings,
        uploads=uploads,
        open_forms=frozenset(open_forms),
        answer_within_s=answer_within_s,
    )
    for router in (_kit_routes(), *([sign_in_routes()] if signs_in else []), *routers):
        if all(isinstance(route, APIRoute) for route in router.routes):
            # Side by side: the framework looks through the routes of an included router twice.
            app.router.routes.extend(router.routes)
        else:
            app.include_router(router)
    return app


async def _stand_up(
    settings: ServiceSettings,
    package: str,
    stack: AsyncExitStack,
    *,
    clock: Clock,
    schemas: SchemaClient,
    transport: httpx2.AsyncBaseTransport | None,
) -> Runtime:
    database = Database(
        settings.database_url.get_secret_value(),
        pool_size=settings.database_pool_size,
        context=Context(settings=settings, clock=clock, schemas=schemas),
        name=f"{settings.name}-web",
    )
    stack.push_async_callback(database.close)
    http = await stack.enter_async_context(
        httpx2.AsyncClient(timeout=CALL_TIMEOUT_S, transport=transport, verify=trusted())
    )
    denials = Denials()
    return Runtime(
        settings=settings,
        package=package,
        database=database,
        clock=clock,
        schemas=schemas,
        http=http,
        denials=denials,
        verifier=Verifier(
            PublishedKeys(fetch_over_http(http, settings.auth_url)),
            issuer=settings.issuer,
            audience=settings.public_url,
            client_id=settings.name,
            denials=denials,
        ),
        pages=Pages(settings, package, clock),
        authenticate=_nobody,
    )


async def _nobody(_request: Request) -> CurrentUser | None:
    return None


def _kit_routes() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/health/live")
    async def live(request: Request) -> Response:
        _own_port_only(request)
        return JSONResponse({"status": "live"})

    @router.get("/health/ready")
    async def ready(request: Request) -> Response:
        _own_port_only(request)
        reasons = await _not_ready_because(runtime_of(request))
        state = {"status": "not ready" if reasons else "ready", "reasons": reasons}
        return JSONResponse(state, 503 if reasons else 200)

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        _own_port_only(request)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @router.post("/locale")
    async def choose_locale(
        request: Request,
        locale: Annotated[str, Form(max_length=10)],
        back: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        return _locale_chosen(request, locale, back)

    @router.get("/ui")
    async def components(request: Request) -> Response:
        """Every component of the design system, for whoever builds pages; only a local exchange shows it."""
        runtime = runtime_of(request)
        if runtime.settings.environment != "local":
            raise NotFound
        await visitor(request)
        return render(request, "ui.html", {"now": runtime.clock.now()})

    router.add_api_route("/static/{name}", serve_asset, methods=["GET"])
    return router


def _own_port_only(request: Request) -> None:
    """Machines ask at the process's own port; through the gateway there is nothing of this."""
    if own_path(request) != request.scope["path"]:
        raise NotFound


async def _not_ready_because(runtime: Runtime) -> list[str]:
    reasons = [f"the registry does not know {name} yet" for name in sorted(runtime.schemas.missing)]
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S), runtime.database.reading() as session:
            await session.execute(text("select 1"))
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        reasons.append(f"the database does not answer ({type(error).__name__})")
    further = [await check() for check in runtime.readiness]
    return reasons + [reason for reason in further if reason is not None]


def _locale_chosen(request: Request, locale: str, back: str) -> Response:
    settings = runtime_of(request).settings
    home = settings.public_path + "/"
    # Only a path of our own: an address from a form must not lead anybody elsewhere.
    target = back if back.startswith("/") and not back.startswith("//") and "\\" not in back else home
    response = Response(status_code=SEE_OTHER, headers={"Location": target})
    if locale in LOCALES:
        secure = settings.public_url.startswith("https:")
        response.set_cookie(
            LOCALE_COOKIE, locale, max_age=LOCALE_KEPT_S, path="/", secure=secure, samesite="lax"
        )
    return response
