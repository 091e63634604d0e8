"""OAuth 2.1 and OpenID Connect on Authlib.

Authlib's server side is synchronous. Each call runs whole inside `AsyncSession.run_sync`, where its database
work is awaited on our own asynchronous connection: one engine, one transaction, no thread.
"""

from auth_service.commands.oauth.authorizing import (
    RESPONSE_MODES,
    Authorized,
    ConsentNeeded,
    Outcome,
    PostedBack,
    Refused,
    SignInNeeded,
    authorize,
)
from auth_service.commands.oauth.client import PRIVATE_KEY_JWT, ProviderClient
from auth_service.commands.oauth.exchange import (
    authorize_device,
    exchange_from_memory,
    exchange_token,
    introspect_token,
    revoke_token,
)
from auth_service.commands.oauth.requests import OAuthAnswer, OAuthCall
from auth_service.commands.oauth.server import SCOPES, KnownClients, Provider, mint_access_token
from auth_service.commands.oauth.trying import Trial, try_client

__all__ = [
    "PRIVATE_KEY_JWT",
    "RESPONSE_MODES",
    "SCOPES",
    "Authorized",
    "ConsentNeeded",
    "KnownClients",
    "OAuthAnswer",
    "OAuthCall",
    "Outcome",
    "PostedBack",
    "Provider",
    "ProviderClient",
    "Refused",
    "SignInNeeded",
    "Trial",
    "authorize",
    "authorize_device",
    "exchange_from_memory",
    "exchange_token",
    "introspect_token",
    "mint_access_token",
    "revoke_token",
    "try_client",
]
