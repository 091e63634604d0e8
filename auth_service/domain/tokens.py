"""Access tokens as text and as facts: what is in one, and when one is believed."""

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from auth_service.domain.keys import ACCESS_TOKENS, ALGORITHMS
from service_kit.roles import Role

TOKEN_TYPE = "at+jwt"  # noqa: S105  a media type
SERVICE_SUBJECT = "client:"
"""Prefix of `sub` in tokens of clients, so that it never equals a person's id."""

TOKEN_LENGTH_MAX = 4096

ONE_FACTOR = "urn:ates:acr:one-factor"
TWO_FACTORS = "urn:ates:acr:two-factors"


@dataclass(frozen=True)
class Subject:
    """Who a token is about: a person in one sign-on session."""

    guid: UUID
    role: Role
    session_id: UUID
    authenticated_at: int
    name: str
    login: str
    email: str | None
    locale: str | None
    time_zone: str
    email_proven: bool = False
    phone: str | None = None
    postal_address: str | None = None
    methods: tuple[str, ...] = ("pwd",)
    """How the person proved to be themselves (RFC 8176)."""

    @property
    def methods_told(self) -> list[str]:
        """Value of the claim `amr`."""
        return [*self.methods, "mfa"] if len(self.methods) > 1 else list(self.methods)

    @property
    def assurance(self) -> str:
        """Value of the claim `acr`."""
        return TWO_FACTORS if len(self.methods) > 1 else ONE_FACTOR

    def get_user_id(self) -> str:
        """The name that Authlib gives the subject identifier."""
        return str(self.guid)


def new_secret() -> str:
    """A secret nobody can guess (256 bits): codes, refresh tokens, cookies."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What we store of a secret. It has 256 bits of chance in it, so a plain hash cannot be turned round."""
    return hashlib.sha256(secret.encode()).digest()


def person_claims(subject: Subject) -> dict[str, Any]:
    """What an access token says about a person beside the protocol's own claims (S3-13)."""
    return {
        "sub": str(subject.guid),
        "guid": str(subject.guid),
        "role": subject.role.value,
        "sid": str(subject.session_id),
        "auth_time": subject.authenticated_at,
    }


def profile_claims(subject: Subject, scopes: set[str]) -> dict[str, Any]:
    """What a client learns about a person, by the scopes it was granted."""
    claims: dict[str, Any] = {"sub": str(subject.guid)}
    if "profile" in scopes:
        claims |= {
            "name": subject.name,
            "preferred_username": subject.login,
            "zoneinfo": subject.time_zone,
            "role": subject.role.value,
        }
        if subject.locale is not None:
            claims["locale"] = subject.locale
    if "email" in scopes and subject.email is not None:
        claims |= {"email": subject.email, "email_verified": subject.email_proven}
    # Nobody has called there: what a person typed is no proof.
    if "phone" in scopes and subject.phone is not None:
        claims |= {"phone_number": subject.phone, "phone_number_verified": False}
    if "address" in scopes and subject.postal_address is not None:
        claims["address"] = {"formatted": subject.postal_address}
    return claims


def read_access_token(
    token: str, keys: KeySet, *, issuer: str, audience: str | None
) -> dict[str, Any] | None:
    """The claims of a token that we issued and that has not expired; None for everything else."""
    if len(token) > TOKEN_LENGTH_MAX:
        return None
    try:
        decoded = jwt.decode(token, keys, algorithms=[ACCESS_TOKENS])
        # Type first: an ID token is signed by the same issuer and must not pass for an access token.
        if decoded.header.get("typ", "").lower() != TOKEN_TYPE:
            return None
        registry = jwt.JWTClaimsRegistry(
            now=int(time.time()),
            iss={"essential": True, "value": issuer},
            exp={"essential": True},
            sub={"essential": True},
            jti={"essential": True},
        )
        registry.validate(decoded.claims)
    except (JoseError, ValueError, TypeError, AttributeError):
        return None
    audiences = decoded.claims.get("aud")
    if audience is not None and (not isinstance(audiences, list) or audience not in audiences):
        return None
    return decoded.claims


def logout_claims(
    *, issuer: str, client_id: str, session_id: UUID, account_id: UUID, jti: str
) -> dict[str, Any]:
    """OpenID Connect Back-Channel Logout 1.0, 2.4; a nonce is forbidden there."""
    now = int(time.time())
    return {
        "iss": issuer,
        "aud": client_id,
        "iat": now,
        "exp": now + 120,
        "jti": jti,
        "sub": str(account_id),
        "sid": str(session_id),
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }


def read_id_token_hint(token: str, keys: KeySet, *, issuer: str) -> dict[str, Any] | None:
    """Who an ID token of ours was about; an expired one still names the session a client wants to end."""
    if len(token) > TOKEN_LENGTH_MAX:
        return None
    try:
        decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
    except (JoseError, ValueError, TypeError):
        return None
    claims = decoded.claims
    if claims.get("iss") != issuer or decoded.header.get("typ", "JWT") != "JWT":
        return None
    return claims if isinstance(claims.get("sid"), str) and isinstance(claims.get("aud"), str) else None
