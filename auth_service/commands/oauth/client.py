"""An OAuth client in the shape Authlib asks."""

import hmac
import re
from datetime import UTC, datetime

from authlib.oauth2.rfc6749 import ClientMixin

from auth_service.domain.tokens import digest
from auth_service.models import OAuthClient

DEFAULT_SCOPE = "openid"
PRIVATE_KEY_JWT = "private_key_jwt"
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?(/[^#\\]*)?")


class ProviderClient(ClientMixin):
    def __init__(self, row: OAuthClient) -> None:
        self.row = row
        self.client_id = row.client_id

    def get_client_id(self) -> str:
        return self.row.client_id

    def get_default_redirect_uri(self) -> None:
        """There is none: every request says where it wants to go, and it is compared letter by letter."""

    def get_allowed_scope(self, scope: str | None) -> str:
        allowed = set(self.row.scopes)
        if "refresh_token" not in self.row.grant_types:
            # What nothing can be renewed with is not granted (OpenID Connect Core, 11).
            allowed.discard("offline_access")
        asked = scope.split() if scope else [DEFAULT_SCOPE]
        return " ".join(dict.fromkeys(name for name in asked if name in allowed))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Letter by letter; only a program on the person's own machine chooses its port (RFC 8252, 7.3)."""
        if redirect_uri in self.row.redirect_uris:
            return True
        without_port = _loopback_without_port(redirect_uri)
        return without_port is not None and without_port in {
            _loopback_without_port(registered) for registered in self.row.redirect_uris
        }

    def check_client_secret(self, client_secret: str) -> bool:
        shown = digest(client_secret)
        expected = self.row.secret_digest
        right = expected is not None and hmac.compare_digest(expected, shown)
        former, until = self.row.former_secret_digest, self.row.former_secret_until
        if former is None or until is None or until <= datetime.now(UTC):
            return right
        return hmac.compare_digest(former, shown) or right

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        del endpoint
        if self.row.auth_method is not None:
            return method == self.row.auth_method
        if self.row.jwks is not None:
            return method == PRIVATE_KEY_JWT
        if self.row.secret_digest is None:
            return method == "none"
        return method in {"client_secret_basic", "client_secret_post"}

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and "authorization_code" in self.row.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        # A public client has nothing to prove itself with, so it never acts in its own name.
        if grant_type == "client_credentials" and self.row.secret_digest is None and self.row.jwks is None:
            return False
        return grant_type in self.row.grant_types


def _loopback_without_port(address: str) -> str | None:
    """An address of this machine by number; the name `localhost` may be led elsewhere."""
    found = _LOOPBACK.fullmatch(address)
    return None if found is None else f"{found[1]}{found[2] or ''}"
