"""What surrounds every request: its id, its language, its time, its safety, its place in logs and metrics."""

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service_kit.clock import business_moment
from service_kit.database import will_pass
from service_kit.errors import ForeignOrigin, Malformed, ServiceError, TooLarge, Unavailable
from service_kit.ids import new_id
from service_kit.serving.failures import respond
from service_kit.serving.runtime import own_path
from service_kit.serving.transactions import SAFE_METHODS
from service_kit.settings import ServiceSettings
from service_kit.telemetry import (
    REQUEST_SECONDS,
    REQUESTS,
    caller_address,
    correlation_id,
    name_span,
    request_span,
)
from service_kit.text import LOCALES, in_locale, preferred_locale
from service_kit.text import message as _

log = structlog.get_logger(__name__)

BODY_BYTES_MAX = 1024 * 1024
REQUEST_ID_HEADER = "X-Request-Id"
BUSINESS_TIME_HEADER = "X-Business-Time"
LOCALE_COOKIE = "ates-locale"
ANSWER_WITHIN_S = 15.0
"""Whoever has sent a whole request is answered within this time, if only that the database does not."""
QUIET_PATHS = ("/health/", "/metrics", "/static/")
"""Asked for all the time; their lines would bury the others."""

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
OWN_SITES = frozenset({"same-origin", "none"})


class DatabaseAway(Unavailable):
    """Our own database does not answer, or has no connection left for this request."""

    code = "database_unavailable"


class Frame:
    """Outermost layer of the application; whatever happens inside, an answer in our shape leaves."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ServiceSettings,
        uploads: Mapping[str, int] | None = None,
        open_forms: frozenset[str] = frozenset(),
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self._app = app
        self._answer_within_s = answer_within_s
        self._open_forms = open_forms
        self._settings = settings
        self._uploads = uploads or {}
        self._policy = _content_policy(settings)
        self._secure = settings.public_url.startswith("https:")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        prefix = self._settings.public_path
        path: str = scope["path"]
        if prefix and (path == prefix or path.startswith(prefix + "/")):
            # The gateway leaves the prefix on; from here on routes see the path behind it.
            scope["root_path"] = prefix
            if path == prefix:
                scope["path"] = prefix + "/"
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(headers)
        state["csp_nonce"] = secrets.token_urlsafe(16)
        chosen = _chosen_locale(headers)
        state["locale_chosen"] = chosen is not None
        correlation = correlation_id.set(state["request_id"])
        client: tuple[str, int] | None = scope.get("client")
        caller = caller_address.set(None if client is None else client[0])
        try:
            with in_locale(chosen or preferred_locale(headers.get("accept-language", ""))):
                await self._serve(scope, receive, send)
        finally:
            caller_address.reset(caller)
            correlation_id.reset(correlation)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        method = scope["method"]
        begun = time.perf_counter()
        status = 0

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(MutableHeaders(scope=message), request)
            elif method == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        if method == "HEAD":
            scope["method"] = "GET"
        try:
            with ExitStack() as stack:
                stack.enter_context(request_span(method, request.headers))
                self._let_pass(request, method)
                if (moment := self._played_moment(request)) is not None:
                    stack.enter_context(business_moment(moment))
                body = _counted(receive, self._bytes_max(request))
                await _in_time(self._app, scope, body, send_framed, self._answer_within_s)
                name_span(f"{method} {_route_of(scope)}", status)
        except Exception as error:
            failure = _as_refusal(error, method, own_path(request))
            if status:
                # The answer has begun and cannot be taken back; the server breaks the connection off.
                raise
            await (await respond(request, failure))(scope, receive, send_framed)
        finally:
            self._note(request, method, status, time.perf_counter() - begun)

    def _let_pass(self, request: Request, method: str) -> None:
        """Stop what is too large or comes from another site, before anything is read or done."""
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._bytes_max(request):
            raise TooLarge(_("A request may have at most one megabyte."))
        if method in SAFE_METHODS or request.headers.get("authorization", "").lower().startswith("bearer "):
            return
        if method == "POST" and own_path(request) in self._open_forms:
            return
        if not is_own_form(request, self._settings):
            log.warning(
                "foreign_origin",
                site=request.headers.get("sec-fetch-site"),
                origin=request.headers.get("origin"),
            )
            raise ForeignOrigin(_("Open the page here and try again."))

    def _bytes_max(self, request: Request) -> int:
        """How large a body may be: only the paths that take files take more."""
        return self._uploads.get(own_path(request), BODY_BYTES_MAX)

    def _played_moment(self, request: Request) -> datetime | None:
        """The business time a loader of past days asks for; only a local exchange listens to it."""
        text = request.headers.get(BUSINESS_TIME_HEADER)
        if text is None or self._settings.environment != "local":
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise Malformed.of(BUSINESS_TIME_HEADER, _("Write it like 2026-11-14T09:30:00Z."))
        return moment

    def _add_headers(self, headers: MutableHeaders, request: Request) -> None:
        headers[REQUEST_ID_HEADER] = request.state.request_id
        policy = self._policy.format(nonce=request.state.csp_nonce)
        if (target := getattr(request.state, "form_target", None)) is not None:
            policy = policy.replace("form-action 'self'", f"form-action 'self' {target}")
        headers.setdefault("Content-Security-Policy", policy)
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Referrer-Policy", "same-origin")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        # Most answers are about one person; whoever serves something public says so.
        headers.setdefault("Cache-Control", "no-store")
        if self._secure:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")

    def _note(self, request: Request, method: str, status: int, seconds: float) -> None:
        route = _route_of(request.scope)
        REQUESTS.labels(method, route, str(status)).inc()
        REQUEST_SECONDS.labels(method, route).observe(seconds)
        path = own_path(request)
        if path.startswith(QUIET_PATHS) and status < 400:  # noqa: PLR2004  below are answers, above are failures
            return
        user = getattr(request.state, "user", None)
        log.info(
            "request",
            method=method,
            path=path,
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 1),
            actor=str(user.guid) if user is not None else None,
        )


def _as_refusal(error: Exception, method: str, path: str) -> ServiceError:
    """What may be told about whatever ended a request; the rest is for the log."""
    if isinstance(error, ServiceError):
        return error
    if will_pass(error):
        log.warning("database_away", method=method, path=path, error=type(error).__name__)
        return DatabaseAway(_("Please try again in a moment."))
    log.error("request_failed", method=method, path=path, exc_info=error)
    return ServiceError(_("This is our fault, not yours. It has been noted; please try again."))


async def _in_time(app: ASGIApp, scope: Scope, receive: Receive, send: Send, within_s: float) -> None:
    """Raise `TimeoutError` when so long after the last part of the request no answer has begun.

    An answer that has begun may take as long as it does: live pages never end.
    """
    limit = asyncio.timeout(within_s)
    begun = False

    async def receiving() -> Message:
        message = await receive()
        if message["type"] == "http.request" and not begun and not limit.expired():
            limit.reschedule(asyncio.get_running_loop().time() + within_s)
        return message

    async def sending(message: Message) -> None:
        nonlocal begun
        if not begun and not limit.expired():
            limit.reschedule(None)
        begun = True
        await send(message)

    async with limit:
        await app(scope, receiving, sending)


def _counted(receive: Receive, bytes_max: int) -> Receive:
    """Hold bodies of undeclared length to the same limit as the others."""
    received = 0

    async def counting() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > bytes_max:
            # The one exception that the framework lets through from the reading of a body.
            raise HTTPException(TooLarge.status)
        return message

    return counting


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if _SANE_REQUEST_ID.fullmatch(given) else str(new_id())


def _chosen_locale(headers: Headers) -> str | None:
    for pair in headers.get("cookie", "").split(";"):
        name, _equals, value = pair.strip().partition("=")
        if name == LOCALE_COOKIE and value in LOCALES:
            return value
    return None


def _route_of(scope: Scope) -> str:
    """The route's template; raw paths would give one time series per task."""
    route = scope.get("route")
    return getattr(route, "path_format", None) or getattr(route, "path", None) or "unmatched"


def is_own_form(request: Request, settings: ServiceSettings) -> bool:
    """Whether a form was sent by a page of ours, or by no page at all."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        return site in OWN_SITES
    if origin is not None:
        return origin == _origin(settings.public_url)
    # No browser of this decade sends neither. A program that brings no cookies has nothing to forge.
    return not request.cookies


def let_forms_lead_to(request: Request, address: str) -> None:
    """A form on this page may end at this address of another site; whoever says so has checked it."""
    request.state.form_target = _origin(address)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _content_policy(settings: ServiceSettings) -> str:
    own = _origin(settings.public_url)
    others = sorted({_origin(url) for url in settings.public_urls.values()} - {own})
    rules = {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'nonce-{nonce}'"],
        "style-src": ["'self'", "'nonce-{nonce}'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'", *others],
        # Browsers apply this to redirects after a form as well: signing in ends at another service's address.
        "form-action": ["'self'", *others],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in rules.items())
