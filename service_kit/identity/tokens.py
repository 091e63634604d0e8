"""Tokens checked by this process alone, against the issuer's published keys.

Token times are compared with the system's real clock, never with business time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import httpx2
import orjson
import structlog
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from service_kit.errors import Unauthenticated, Unavailable
from service_kit.identity.denials import Denials
from service_kit.roles import CurrentUser, Role
from service_kit.text import message as _

log = structlog.get_logger(__name__)

LEEWAY_S = 10
"""Two machines' clocks may differ by this much."""

REFETCH_AT_MOST_EVERY_S = 60
KEYS_OLD_AFTER_S = 600
ACCESS_TOKEN_ALGORITHMS = ("ES256",)
ID_TOKEN_ALGORITHMS = ("ES256", "RS256")
"""Whichever the provider was told for this client; the type in the header keeps the kinds apart."""

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
TOKEN_LENGTH_MAX = 8192

FetchKeys = Callable[[], Awaitable[dict[str, Any]]]
"""Reads the issuer's key set (RFC 7517)."""


class InvalidToken(Unauthenticated):
    """The token does not hold; the reason stays with us, as it would only help a forger."""

    code = "invalid_token"


class KeysUnavailable(Unavailable):
    """The issuer has never answered with its keys."""

    code = "keys_unavailable"


class Keys(Protocol):
    async def find(self, kid: str | None) -> Key | None:
        """Answer the key of this name, if there is one."""


class PublishedKeys:
    """The issuer's key set, kept while the issuer is away and read again when a new key turns up."""

    def __init__(self, fetch: FetchKeys) -> None:
        self._fetch = fetch
        self._keys: dict[str, Key] = {}
        self._tried_at = -float("inf")
        self._read_at = -float("inf")
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None) -> Key | None:
        now = time.monotonic()
        if kid not in self._keys or now - self._read_at > KEYS_OLD_AFTER_S:
            await self._read_again(kid)
        return self._keys.get(kid or "")

    async def _read_again(self, kid: str | None) -> None:
        async with self._lock:
            now = time.monotonic()
            known = kid in self._keys
            if known and now - self._read_at <= KEYS_OLD_AFTER_S:
                return
            # Forged key names must not make us a hammer on the issuer. Before the first success a shorter
            # pause applies, because a process that starts before the issuer should not stay deaf for long.
            pause_s = REFETCH_AT_MOST_EVERY_S if self._keys else 1
            if now - self._tried_at >= pause_s:
                self._tried_at = now
                try:
                    fetched = KeySet.import_key_set(await self._fetch())  # type: ignore[arg-type]
                except (httpx2.HTTPError, JoseError, ValueError, KeyError) as error:
                    log.warning("keys_not_read", error=type(error).__name__)
                else:
                    self._keys = {key.kid: key for key in fetched.keys if key.kid}
                    self._read_at = time.monotonic()
            if not self._keys:
                raise KeysUnavailable(_("Sign-in cannot be checked at the moment. Please try again shortly."))


def fetch_over_http(http: httpx2.AsyncClient, auth_url: str) -> FetchKeys:
    """Read the keys from where this process reaches auth_service."""

    async def fetch() -> dict[str, Any]:
        answer = await http.get(f"{auth_url}/.well-known/jwks.json")
        answer.raise_for_status()
        keys: dict[str, Any] = answer.json()
        return keys

    return fetch


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What an access token says that holds."""

    guid: UUID
    role: Role
    session_id: str | None
    client_id: str
    expires_at: int
    """Unix seconds."""


class Verifier:
    """Checks tokens of one issuer for one service."""

    def __init__(
        self, keys: Keys, *, issuer: str, audience: str, client_id: str, denials: Denials | None = None
    ) -> None:
        self._keys = keys
        self._denials = Denials() if denials is None else denials
        self._issuer = issuer
        self._audience = audience
        self._client_id = client_id
        self._rules: dict[tuple[str, str], jwt.JWTClaimsRegistry] = {}

    async def access_token(self, token: str) -> AccessToken:
        """Read an access token made for this service. Raises `InvalidToken`."""
        claims = await self._claims(token, "at+jwt", ACCESS_TOKEN_ALGORITHMS, self._audience)
        try:
            return AccessToken(
                guid=UUID(claims["sub"]),
                role=Role(claims["role"]),
                session_id=_optional_text(claims, "sid"),
                client_id=str(claims["client_id"]),
                expires_at=int(claims["exp"]),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise _invalid("claims", error) from error

    async def current_user(self, token: str) -> CurrentUser:
        """Read who calls with this bearer token, unless stopped since. Raises `InvalidToken`."""
        read = await self.access_token(token)
        user = CurrentUser(guid=read.guid, role=read.role, session_id=read.session_id)
        if self._denials.refuses(user):
            raise _invalid("stopped")
        return user

    async def id_token(self, token: str, *, nonce: str | None) -> dict[str, Any]:
        """Read who signed in. Without a nonce the token is one that came with a renewal."""
        claims = await self._claims(token, "JWT", ID_TOKEN_ALGORITHMS, self._client_id)
        if nonce is not None and claims.get("nonce") != nonce:
            raise _invalid("nonce")
        return claims

    async def logout_token(self, token: str) -> dict[str, Any]:
        """Read whose session the issuer has ended (OpenID Connect Back-Channel Logout)."""
        claims = await self._claims(token, "logout+jwt", ID_TOKEN_ALGORITHMS, self._client_id)
        events = claims.get("events")
        if not isinstance(events, dict) or LOGOUT_EVENT not in events:
            raise _invalid("events")
        if "nonce" in claims or not ("sid" in claims or "sub" in claims):
            raise _invalid("logout claims")
        return claims

    async def _claims(
        self, token: str, kind: str, algorithms: tuple[str, ...], audience: str
    ) -> dict[str, Any]:
        if len(token) > TOKEN_LENGTH_MAX:
            raise _invalid("length")
        try:
            signed = jws.extract_compact(token.encode("ascii"))
            header = signed.headers()
            # The type keeps an ID token from passing as an access token, though both carry good signatures.
            if str(header.get("typ", "")).lower().removeprefix("application/") != kind.lower():
                raise _invalid("typ")
            if header.get("alg") not in algorithms:
                raise _invalid("alg")
            key = await self._keys.find(str(header.get("kid", "")))
            # A key that says what it is for is good for nothing else.
            if key is None or key.alg not in {None, header["alg"]}:
                raise _invalid("kid")
            if not jws.validate_compact(signed, key, algorithms):
                raise _invalid("signature")
            claims = orjson.loads(signed.payload)
            if not isinstance(claims, dict):
                raise _invalid("claims")
            self._rules_of(kind, audience).validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise _invalid(type(error).__name__, error) from error
        return claims

    def _rules_of(self, kind: str, audience: str) -> jwt.JWTClaimsRegistry:
        """What a token of this kind has to say; it never changes, so it is put together once."""
        rules = self._rules.get((kind, audience))
        if rules is None:
            rules = self._rules[kind, audience] = jwt.JWTClaimsRegistry(
                now=lambda: int(time.time()),
                leeway=LEEWAY_S,
                iss={"essential": True, "value": self._issuer},
                aud={"essential": True, "value": audience},
                exp={"essential": True},
                iat={"essential": True},
                sub={"essential": kind != "logout+jwt"},
            )
        return rules


def _invalid(reason: str, _error: Exception | None = None) -> InvalidToken:
    log.info("token_refused", reason=reason)
    return InvalidToken(_("This token does not hold. Get a new one and try again."))


def _optional_text(claims: dict[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return None if value is None else str(value)
