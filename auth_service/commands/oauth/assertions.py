"""Clients that prove themselves with a key of their own: private_key_jwt (RFC 7523; OIDC Core, 9)."""

import time
from datetime import UTC, datetime
from typing import Any, cast

from authlib.oauth2.rfc6749 import InvalidClientError
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc.jwk import KeySet, KeySetSerialization
from joserfc.jwt import Claims
from sqlalchemy.dialects.postgresql import insert

from auth_service.commands.oauth.client import PRIVATE_KEY_JWT, ProviderClient
from auth_service.commands.oauth.server import ProviderServer
from auth_service.domain.tokens import digest
from auth_service.models import ClientAssertion

LIFE_MAX_S = 300
LEEWAY_S = 10


class PrivateKeyJwt(JWTBearerClientAssertion):
    """A proof names us alone, ends within five minutes, and is good once."""

    CLIENT_AUTH_METHOD = PRIVATE_KEY_JWT

    def __init__(self, server: ProviderServer) -> None:
        super().__init__(leeway=LEEWAY_S)
        self._server = server

    def resolve_client_public_key(self, client: ProviderClient) -> KeySet:
        if client.row.jwks is None:
            raise InvalidClientError(description="The client has no keys.")
        return KeySet.import_key_set(cast("KeySetSerialization", client.row.jwks))

    def get_audiences(self) -> list[str]:
        """The issuer and nothing else: a proof made for another server is worth nothing here."""
        return [self._server.settings.issuer]

    def verify_claims(self, claims: Claims) -> None:
        if claims.get("aud") != self._server.settings.issuer:
            raise InvalidClientError(description="The audience has to be the issuer alone.")
        expires = claims.get("exp")
        if not isinstance(expires, int) or expires > time.time() + LIFE_MAX_S + LEEWAY_S:
            raise InvalidClientError(description="The assertion has to end within five minutes.")
        named = self._server.call.one("client_id")
        if named is not None and named != claims.get("sub"):
            raise InvalidClientError(description="The assertion is of another client.")
        super().verify_claims(claims)

    def validate_jti(self, claims: Claims, jti: Any) -> bool:
        statement = (
            insert(ClientAssertion)
            .values(
                client_id=str(claims["sub"]),
                jti_digest=digest(str(jti)),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            )
            .on_conflict_do_nothing()
            .returning(ClientAssertion.client_id)
        )
        return self._server.session.scalar(statement) is not None
