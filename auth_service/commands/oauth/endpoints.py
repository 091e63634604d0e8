"""Revocation (RFC 7009) and introspection (RFC 7662)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from auth_service.commands.oauth.client import ProviderClient
from auth_service.commands.oauth.grants import CONFIDENTIAL, CONFIDENTIAL_OR_PUBLIC, revoke_family
from auth_service.commands.oauth.requests import ProviderRequest
from auth_service.commands.oauth.server import ProviderServer
from auth_service.domain.tokens import SERVICE_SUBJECT, digest, read_access_token
from auth_service.models import Account, RefreshToken, RevokedAccessToken, SignOnSession, TokenFamily


@dataclass(frozen=True)
class FoundRefreshToken:
    row: RefreshToken
    family: TokenFamily
    active: bool

    def check_client(self, client: ProviderClient) -> bool:
        return self.family.client_id == client.client_id

    def is_expired(self) -> bool:
        return not self.active

    def is_revoked(self) -> bool:
        return not self.active

    def introspected(self) -> dict[str, Any]:
        return {
            "token_type": "refresh_token",
            "client_id": self.family.client_id,
            "sub": str(self.family.account_id),
            "sid": str(self.family.session_id),
            "scope": self.family.scope,
            "iat": int(self.row.issued_at.timestamp()),
            "exp": int(self.row.expires_at.timestamp()),
        }


@dataclass(frozen=True)
class FoundAccessToken:
    claims: dict[str, Any]
    active: bool

    def check_client(self, client: ProviderClient) -> bool:
        return self.claims.get("client_id") == client.client_id

    def is_expired(self) -> bool:
        return not self.active

    def is_revoked(self) -> bool:
        return not self.active

    def introspected(self) -> dict[str, Any]:
        return {"token_type": "Bearer", **self.claims}


FoundToken = FoundRefreshToken | FoundAccessToken


def find_token(server: ProviderServer, token: str) -> FoundToken | None:
    """Look for a token of either kind. The caller's hint is not needed: the two kinds never look alike."""
    claims = read_access_token(
        token, server.provider.ring.public, issuer=server.settings.issuer, audience=None
    )
    if claims is not None:
        return FoundAccessToken(claims, active=_access_token_holds(server, claims))
    found = server.session.execute(
        select(RefreshToken, TokenFamily)
        .join(TokenFamily, TokenFamily.id == RefreshToken.family_id)
        .where(RefreshToken.token_digest == digest(token))
    ).one_or_none()
    if found is None:
        return None
    row, family = found
    alive = family.revoked_at is None and row.used_at is None and row.expires_at > server.now
    person = server.subject_of(family.account_id, family.session_id, offline=family.offline)
    return FoundRefreshToken(row, family, active=alive and person is not None)


def _access_token_holds(server: ProviderServer, claims: dict[str, Any]) -> bool:
    """Say what the signature cannot: whether the token, its session or its person was stopped meanwhile."""
    if server.session.get(RevokedAccessToken, claims["jti"]) is not None:
        return False
    if claims["sub"].startswith(SERVICE_SUBJECT):
        return server.query_client(claims["client_id"]) is not None
    if "grant_id" in claims:
        # Whatever ends the refresh tokens ends the access tokens of the same grant (RFC 7009, 2.1).
        family = server.session.get(TokenFamily, UUID(claims["grant_id"]))
        if family is None or family.revoked_at is not None:
            return False
    account = server.session.get(Account, UUID(claims["sub"]))
    if account is None or account.blocked or account.role != claims.get("role", account.role):
        return False
    # Those of an application that acts while nobody is signed in belong to no session.
    if "sid" not in claims:
        return True
    sign_on = server.session.get(SignOnSession, UUID(claims["sid"]))
    return sign_on is not None and sign_on.ended_at is None


class AnyHint:
    """A hint that nobody here knows is left out: it only ever helps to search (RFC 7009, 2.1; 7662, 2.1)."""

    def check_params(self, request: ProviderRequest, client: ProviderClient) -> None:
        del client
        if "token" not in request.form:
            raise InvalidRequestError("Missing 'token'")


class Revocation(AnyHint, RevocationEndpoint):
    CLIENT_AUTH_METHODS = CONFIDENTIAL_OR_PUBLIC
    server: ProviderServer

    def query_token(self, token_string: str, token_type_hint: str | None) -> FoundToken | None:
        del token_type_hint
        return find_token(self.server, token_string)

    def revoke_token(self, token: FoundToken, request: ProviderRequest) -> None:
        del request
        if isinstance(token, FoundRefreshToken):
            revoke_family(self.server, token.family.id, "revoked by its client")
            return
        self.server.session.execute(
            insert(RevokedAccessToken)
            .values(jti=token.claims["jti"], expires_at=datetime.fromtimestamp(token.claims["exp"], UTC))
            .on_conflict_do_nothing()
        )


class Introspection(AnyHint, IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = CONFIDENTIAL
    server: ProviderServer

    def query_token(self, token_string: str, token_type_hint: str | None) -> FoundToken | None:
        del token_type_hint
        return find_token(self.server, token_string)

    def check_permission(self, token: FoundToken, client: ProviderClient, request: ProviderRequest) -> bool:
        """Our services ask about the access tokens they are shown; everybody else about their own alone."""
        del request
        shown = isinstance(token, FoundAccessToken) and not client.row.third_party
        return shown or token.check_client(client)

    def introspect_token(self, token: FoundToken) -> dict[str, Any]:
        return token.introspected() | {"active": True}
