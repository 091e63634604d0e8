"""Sign-in of browsers at the common auth service: the web app is a confidential client and keeps every token.

The browser gets a session cookie and nothing else. What has to survive the way to the issuer and back lies
sealed in a short-lived cookie, so that visitors who never come back leave nothing in the database.
"""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode, urlsplit

import orjson
import structlog
from fastapi import Form, Query, Request, Response
from starlette.responses import RedirectResponse

from service_kit.errors import Malformed, ServiceError, Unauthenticated
from service_kit.identity.provider import GrantRefused, Provider
from service_kit.identity.renewal import Renewal
from service_kit.identity.sessions import ENDED, Sealer, Sessions, WebSession, hash_of, new_secret
from service_kit.identity.tokens import InvalidToken
from service_kit.listening import listen
from service_kit.roles import CurrentUser
from service_kit.serving.runtime import Runtime
from service_kit.serving.transactions import ServiceRouter
from service_kit.text import message as _

log = structlog.get_logger(__name__)

SCOPE = "openid profile"
SEE_OTHER = 303
SIGN_IN_TAKES_AT_MOST_S = 600
SIGN_INS_AT_ONCE_MAX = 5
"""Tabs that may be on their way to the issuer at the same time."""
SESSION_LASTS = timedelta(days=14)
"""Unless the issuer says how long its refresh token holds."""
NEXT_LENGTH_MAX = 2000


class SignInFailed(Unauthenticated):
    """The way to the issuer and back did not end where it began; starting again helps."""

    code = "sign_in_failed"
    status = 400
    title = _("Signing in did not work")


@dataclass(frozen=True, slots=True)
class _UnderWay:
    state: str
    nonce: str
    verifier: str
    next: str


class SignIn:
    """Everything about browser sessions of one service; made once per process."""

    def __init__(self, runtime: Runtime) -> None:
        settings = runtime.settings
        secret = settings.secret_key.get_secret_value()
        self._runtime = runtime
        self._settings = settings
        self._sessions = Sessions(Sealer(secret, "web sessions"))
        self._sealer = Sealer(secret, "sign-in")
        self._provider = Provider(
            runtime.http,
            url=settings.auth_url,
            client_id=settings.name,
            client_secret=settings.client_secret.get_secret_value(),
        )
        self._renewal = Renewal(runtime.database, self._sessions, self._provider, lambda: runtime.verifier)
        self._secure = settings.public_url.startswith("https:")
        self._cookie = f"{'__Host-' if self._secure else ''}ates-{settings.name}"

    async def authenticate(self, request: Request) -> CurrentUser | None:
        """Who the session cookie stands for."""
        session_id = request.cookies.get(self._cookie)
        if not session_id:
            return None
        found = await self._renewal.current(hash_of(session_id))
        if found is None or self._runtime.denials.refuses(found.user):
            return None
        return found.user

    async def hear(self) -> None:
        """Listen for sessions that end at other processes of this service, until cancelled."""
        await listen(self._runtime.database, {ENDED: self._renewal.heard}, deaf=self._renewal.deaf)

    async def close(self) -> None:
        await self._renewal.close()

    def begin(self, request: Request, next_path: str) -> Response:
        """Send the browser to the issuer."""
        under_way = _UnderWay(new_secret(), new_secret(), new_secret(), _safe_path(next_path, self._home))
        challenge = urlsafe_b64encode(hashlib.sha256(under_way.verifier.encode()).digest()).rstrip(b"=")
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._settings.name,
                "redirect_uri": self._redirect_uri,
                "scope": SCOPE,
                "state": under_way.state,
                "nonce": under_way.nonce,
                "code_challenge": challenge.decode(),
                "code_challenge_method": "S256",
            }
        )
        response = RedirectResponse(f"{self._settings.issuer}/authorize?{query}", SEE_OTHER)
        earlier = [name for name in request.cookies if name.startswith(self._cookie_of(""))]
        if len(earlier) >= SIGN_INS_AT_ONCE_MAX:
            for name in earlier:
                self._drop_cookie(response, name)
        sealed = self._sealer.seal(
            orjson.dumps([under_way.state, under_way.nonce, under_way.verifier, under_way.next]).decode()
        )
        self._set_cookie(response, self._cookie_of(under_way.state), sealed.decode(), SIGN_IN_TAKES_AT_MOST_S)
        return response

    async def finish(self, request: Request, *, state: str, code: str, issuer: str | None) -> Response:
        """Take the browser back from the issuer and open its session."""
        under_way = self._under_way(request, state)
        # RFC 9207: an answer of another issuer must not be redeemed at ours.
        if issuer is not None and issuer != self._settings.issuer:
            raise SignInFailed(_("The answer came from another sign-in service."))
        try:
            opened = await self._redeem(code, under_way)
        except (GrantRefused, InvalidToken) as error:
            raise SignInFailed(_("This sign-in is used up. Please sign in again.")) from error
        session_id = new_secret()
        async with self._runtime.database.transaction() as session:
            # A new id at each sign-in, so that an id somebody planted before is worth nothing.
            if earlier := request.cookies.get(self._cookie):
                await self._sessions.end(session, hash_of(earlier))
            await self._sessions.add(session, replace(opened, id_hash=hash_of(session_id)))
        if earlier:
            self._renewal.forget(hash_of(earlier))
        response = RedirectResponse(under_way.next, SEE_OTHER)
        lasts_s = int((opened.expires_at - datetime.now(UTC)).total_seconds())
        self._set_cookie(response, self._cookie, session_id, lasts_s)
        self._drop_cookie(response, self._cookie_of(state))
        return response

    async def _redeem(self, code: str, under_way: _UnderWay) -> WebSession:
        """Exchange the code and read who signed in; the session has no id yet."""
        tokens = await self._provider.redeem(
            code, redirect_uri=self._redirect_uri, verifier=under_way.verifier
        )
        claims = await self._runtime.verifier.id_token(tokens.id_token or "", nonce=under_way.nonce)
        access = await self._runtime.verifier.access_token(tokens.access_token)
        if claims["sub"] != str(access.guid):
            raise InvalidToken
        lasts = (
            SESSION_LASTS
            if tokens.refresh_expires_in_s is None
            else timedelta(seconds=tokens.refresh_expires_in_s)
        )
        return WebSession(
            id_hash=b"",
            account_guid=access.guid,
            provider_session_id=access.session_id or claims.get("sid"),
            role=access.role,
            name=claims.get("name"),
            locale=claims.get("locale"),
            id_token=tokens.id_token or "",
            refresh_token=tokens.refresh_token,
            fresh_until=datetime.fromtimestamp(access.expires_at, UTC),
            expires_at=datetime.now(UTC) + lasts,
        )

    def cancelled(self, request: Request, state: str, error: str) -> ServiceError:
        """What to say when the issuer sent the browser back without a code."""
        self._under_way(request, state)
        log.info("sign_in_refused", error=error[:100])
        return SignInFailed(_("The sign-in service did not let you in."))

    async def end(self, request: Request) -> Response:
        """End the browser's session here and lead on to the issuer, which ends its own."""
        session_id = request.cookies.get(self._cookie)
        ended = None
        if session_id:
            async with self._runtime.database.transaction() as session:
                ended = await self._sessions.find(session, hash_of(session_id))
                await self._sessions.end(session, hash_of(session_id))
            self._renewal.forget(hash_of(session_id))
        target = self._home
        if ended is not None:
            if ended.refresh_token is not None:
                await self._provider.revoke(ended.refresh_token)
            query = urlencode(
                {
                    "id_token_hint": ended.id_token,
                    "client_id": self._settings.name,
                    "post_logout_redirect_uri": f"{self._settings.public_url}/",
                }
            )
            target = f"{self._settings.issuer}/logout?{query}"
        response = RedirectResponse(target, SEE_OTHER)
        self._drop_cookie(response, self._cookie)
        return response

    async def end_from_provider(self, logout_token: str) -> None:
        """End the sessions that the issuer says are over."""
        try:
            claims = await self._runtime.verifier.logout_token(logout_token)
        except InvalidToken as error:
            raise Malformed(_("This logout token does not hold.")) from error
        async with self._runtime.database.transaction() as session:
            await self._sessions.end_by_provider(session, claims)
        self._renewal.forget()

    @property
    def _home(self) -> str:
        return self._settings.public_path + "/"

    @property
    def _redirect_uri(self) -> str:
        return f"{self._settings.public_url}/callback"

    def _cookie_of(self, state: str) -> str:
        return f"{self._cookie}-signin-{state[:8]}"

    def _under_way(self, request: Request, state: str) -> _UnderWay:
        sealed = request.cookies.get(self._cookie_of(state), "")
        opened = self._sealer.open(sealed.encode(), ttl_s=SIGN_IN_TAKES_AT_MOST_S)
        under_way = None if opened is None else _UnderWay(*orjson.loads(opened))
        if under_way is None or under_way.state != state:
            raise SignInFailed(
                _("This sign-in was not begun in this browser, or too long ago. Please sign in again.")
            )
        return under_way

    def _set_cookie(self, response: Response, name: str, value: str, max_age_s: int) -> None:
        response.set_cookie(
            name, value, max_age=max_age_s, path="/", secure=self._secure, httponly=True, samesite="lax"
        )

    def _drop_cookie(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")


def _safe_path(path: str, otherwise: str) -> str:
    """A path on our own origin; everything that a browser could read as another site is refused."""
    parts = urlsplit(path)
    plain = path.isascii() and path.isprintable() and "\\" not in path and len(path) <= NEXT_LENGTH_MAX
    if not plain or parts.scheme or parts.netloc or not path.startswith("/") or path.startswith("//"):
        return otherwise
    return path


def sign_in_routes() -> ServiceRouter:
    """The addresses of the sign-in; the application mounts them."""
    router = ServiceRouter(include_in_schema=False)

    @router.get("/login")
    async def login(request: Request, next_path: Annotated[str, Query(alias="next")] = "") -> Response:
        return _sign_in(request).begin(request, next_path)

    @router.get("/callback")
    async def callback(
        request: Request,
        state: Annotated[str, Query(max_length=200)] = "",
        code: Annotated[str | None, Query(max_length=4000)] = None,
        iss: Annotated[str | None, Query(max_length=2000)] = None,
        error: Annotated[str | None, Query(max_length=200)] = None,
    ) -> Response:
        sign_in = _sign_in(request)
        if code is None:
            raise sign_in.cancelled(request, state, error or "no code")
        return await sign_in.finish(request, state=state, code=code, issuer=iss)

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        return await _sign_in(request).end(request)

    @router.post("/backchannel-logout")
    async def backchannel_logout(
        request: Request, logout_token: Annotated[str, Form(max_length=8192)]
    ) -> Response:
        await _sign_in(request).end_from_provider(logout_token)
        return Response(headers={"Cache-Control": "no-store"})

    return router


def _sign_in(request: Request) -> SignIn:
    sign_in: SignIn = request.app.state.sign_in
    return sign_in
