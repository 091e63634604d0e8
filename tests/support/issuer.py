"""An issuer of tokens for tests: real keys, real signatures, reached by the same calls as auth_service."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID, uuid4

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service_kit.identity import Role
from service_kit.identity.tokens import LOGOUT_EVENT

ACCESS_TOKEN_S = 300


@cache
def _access_key() -> ECKey:
    return ECKey.generate_key("P-256", {"kid": "ec-1", "alg": "ES256"})


@cache
def _id_key() -> RSAKey:
    # Made once: two large primes for every test would be most of its time.
    return RSAKey.generate_key(2048, {"kid": "rsa-1", "alg": "RS256"})


@dataclass
class Issuer:
    """Hands out codes and tokens for one signed-in person; what it was asked can be counted."""

    url: str
    audiences: list[str]
    guid: UUID = field(default_factory=uuid4)
    role: Role = Role.WORKER
    name: str = "Polly"
    locale: str | None = None
    sid: str = "provider-session"
    access_token_s: int = ACCESS_TOKEN_S
    away: bool = False
    refresh_tokens: set[str] = field(default_factory=set)
    refreshes: int = 0
    refused: int = 0
    keys_read: int = 0
    revoked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    before_refresh: Callable[[], Any] | None = None
    access_key: ECKey = field(default_factory=_access_key)
    id_key: RSAKey | ECKey = field(default_factory=_id_key)

    @property
    def transport(self) -> httpx2.AsyncBaseTransport:
        """How the service under test reaches this issuer."""
        prefix = urlsplit(self.url).path
        app = Starlette(
            routes=[
                Route(f"{prefix}/token", self._token, methods=["POST"]),
                Route(f"{prefix}/revoke", self._revoke, methods=["POST"]),
                Route(f"{prefix}/.well-known/jwks.json", self._keys),
            ]
        )
        return _SometimesAway(httpx2.ASGITransport(app), self)

    def authorize(self, address: str) -> str:
        """What a browser does at the issuer: answer an authorization request with the way back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return (
            query["redirect_uri"] + "?" + urlencode({"code": code, "state": query["state"], "iss": self.url})
        )

    def access_token(self, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        now = int(time.time())
        said = {
            "iss": self.url,
            "aud": self.audiences,
            "sub": str(self.guid),
            "role": self.role.value,
            "sid": self.sid,
            "client_id": "sample",
            "jti": str(uuid4()),
            "iat": now,
            "exp": now + self.access_token_s,
        } | claims
        key = key or self.access_key
        kept = {name: value for name, value in said.items() if value is not None}
        head = {"alg": "ES256", "typ": "at+jwt", "kid": key.kid} | (header or {})
        return jwt.encode(head, kept, key, algorithms=[str(head["alg"])])

    def id_token(self, nonce: str | None = None, **claims: Any) -> str:
        now = int(time.time())
        said = {
            "iss": self.url,
            "aud": "sample",
            "sub": str(self.guid),
            "name": self.name,
            "locale": self.locale,
            "sid": self.sid,
            "nonce": nonce,
            "iat": now,
            "exp": now + 300,
        } | claims
        kept = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(self._head("JWT"), kept, self.id_key)

    def _head(self, typ: str) -> dict[str, Any]:
        return {"alg": self.id_key.alg, "typ": typ, "kid": self.id_key.kid}

    def logout_token(self, typ: str = "logout+jwt", **claims: Any) -> str:
        now = int(time.time())
        said = {
            "iss": self.url,
            "aud": "sample",
            "sid": self.sid,
            "jti": str(uuid4()),
            "events": {LOGOUT_EVENT: {}},
            "iat": now,
            "exp": now + 120,
        } | claims
        kept = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(self._head(typ), kept, self.id_key)

    def bearer(self, **claims: Any) -> dict[str, str]:
        """The header of an API call."""
        return {"Authorization": f"Bearer {self.access_token(**claims)}"}

    async def _keys(self, _request: Request) -> Response:
        self.keys_read += 1
        return JSONResponse(KeySet([self.access_key, self.id_key]).as_dict(private=False))

    async def _revoke(self, request: Request) -> Response:
        form = await request.form()
        self.revoked.append(str(form["token"]))
        self.refresh_tokens.discard(str(form["token"]))
        return Response()

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        if not request.headers.get("authorization", "").startswith("Basic "):
            return JSONResponse({"error": "invalid_client"}, 401)
        if form["grant_type"] == "authorization_code":
            asked = self.codes.pop(str(form["code"]), None)
            if asked is None:
                return self._refuse()
            return self._hand_out(asked["nonce"])
        self.refreshes += 1
        if self.before_refresh is not None:
            await self.before_refresh()
        presented = str(form["refresh_token"])
        if presented not in self.refresh_tokens:
            return self._refuse()
        self.refresh_tokens.discard(presented)
        return self._hand_out(None)

    def _hand_out(self, nonce: str | None) -> Response:
        refresh_token = f"refresh-{uuid4()}"
        self.refresh_tokens.add(refresh_token)
        return JSONResponse(
            {
                "token_type": "Bearer",
                "access_token": self.access_token(),
                "id_token": self.id_token(nonce),
                "refresh_token": refresh_token,
                "expires_in": self.access_token_s,
            }
        )

    def _refuse(self) -> Response:
        self.refused += 1
        return JSONResponse({"error": "invalid_grant"}, 400)


class _SometimesAway(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport, issuer: Issuer) -> None:
        self._inner = inner
        self._issuer = issuer

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._issuer.away:
            raise httpx2.ConnectError("nobody answers")
        return await self._inner.handle_async_request(request)
