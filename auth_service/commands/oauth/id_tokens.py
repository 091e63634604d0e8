"""ID tokens: who signed in, when, and in answer to which request."""

from datetime import UTC, datetime
from typing import Any

from authlib.oidc.core import OpenIDCode
from authlib.oidc.core.grants.code import OpenIDToken
from joserfc.jwk import KeySet

from auth_service.commands.oauth.client import ProviderClient
from auth_service.commands.oauth.requests import ProviderRequest
from auth_service.commands.oauth.server import Provider
from auth_service.domain.tokens import Subject, profile_claims

ID_TOKEN_LIFE_S = 300


class IdTokens:
    """What both ways to an ID token share: by a code, by a refresh token."""

    provider: Provider

    def resolve_client_private_key(self, client: ProviderClient) -> KeySet:
        return self.provider.ring.signing(client.row.id_token_alg, datetime.now(UTC))

    def get_client_algorithm(self, client: ProviderClient) -> str:
        return client.row.id_token_alg

    def get_client_claims(self, client: ProviderClient) -> dict[str, Any]:
        now = int(datetime.now(UTC).timestamp())
        return {
            "iss": self.provider.settings.issuer,
            "aud": client.get_client_id(),
            "iat": now,
            "exp": now + ID_TOKEN_LIFE_S,
        }

    def generate_user_info(self, user: Subject, scope: str) -> dict[str, Any]:
        # Time and session of the sign-in belong to the person's session; they are the same after a refresh.
        return profile_claims(user, set(scope.split())) | {
            "auth_time": user.authenticated_at,
            "sid": str(user.session_id),
            "amr": user.methods_told,
            "acr": user.assurance,
        }


class IdTokenByCode(IdTokens, OpenIDCode):
    def __init__(self, provider: Provider) -> None:
        super().__init__(require_nonce=False)
        self.provider = provider

    def exists_nonce(self, nonce: str, request: ProviderRequest) -> bool:
        """The nonce is the client's to check; PKCE and single use of the code stop a replay here."""
        del nonce, request
        return False


class IdTokenByRefresh(IdTokens, OpenIDToken):
    def __init__(self, provider: Provider) -> None:
        self.provider = provider
