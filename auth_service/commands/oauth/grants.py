"""Two of the grants: authorization code with PKCE, client credentials."""

import re
from datetime import timedelta

from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from sqlalchemy import select, update

from auth_service.commands.audit import record
from auth_service.commands.oauth.client import PRIVATE_KEY_JWT, ProviderClient
from auth_service.commands.oauth.requests import ProviderRequest
from auth_service.commands.oauth.server import ProviderServer
from auth_service.domain.tokens import Subject, digest, new_secret
from auth_service.models import AuthorizationCode, TokenFamily
from service_kit.ids import new_id

CONFIDENTIAL = ["client_secret_basic", "client_secret_post", PRIVATE_KEY_JWT]
CONFIDENTIAL_OR_PUBLIC = [*CONFIDENTIAL, "none"]
S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class IssuedCode:
    """A stored authorization code in the shape Authlib asks."""

    def __init__(self, row: AuthorizationCode, *, redirect_uri_expected: bool) -> None:
        self.row = row
        self.code_challenge = row.code_challenge
        self.code_challenge_method = "S256"
        self._redirect_uri_expected = redirect_uri_expected

    def get_redirect_uri(self) -> str | None:
        # OAuth 2.1 clients do not repeat it here: PKCE binds the code to who asked for it. When it is
        # repeated it has to be the same.
        return self.row.redirect_uri if self._redirect_uri_expected else None

    def get_scope(self) -> str:
        return self.row.scope

    def get_nonce(self) -> str | None:
        return self.row.nonce

    def get_auth_time(self) -> int | None:
        """Told by the sign-on session instead (see `IdTokens`)."""
        return None

    def get_acr(self) -> str | None:
        return None

    def get_amr(self) -> list[str] | None:
        return None


class AuthorizationCodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = CONFIDENTIAL_OR_PUBLIC
    server: ProviderServer

    def generate_authorization_code(self) -> str:
        return new_secret()

    def save_authorization_code(self, code: str, request: ProviderRequest) -> None:
        person: Subject = request.user
        data = request.payload.data
        self.server.session.add(
            AuthorizationCode(
                code_digest=digest(code),
                client_id=request.client.client_id,
                account_id=person.guid,
                session_id=person.session_id,
                redirect_uri=data["redirect_uri"],
                scope=request.scope,
                nonce=data.get("nonce"),
                code_challenge=data.get("code_challenge"),
                resources=self.server.call.resources or None,
                expires_at=self.server.now + timedelta(seconds=self.server.settings.authorization_code_s),
            )
        )

    def query_authorization_code(self, code: str, client: ProviderClient) -> IssuedCode | None:
        # The row lock lets one of several simultaneous redemptions through; the others find it used.
        row = self.server.session.scalar(
            select(AuthorizationCode)
            .where(
                AuthorizationCode.code_digest == digest(code),
                AuthorizationCode.client_id == client.client_id,
            )
            .with_for_update()
        )
        if row is None:
            return None
        if row.used_at is not None:
            self._answer_replay(row)
            return None
        if row.expires_at <= self.server.now:
            return None
        self.server.access_tokens.granted = row.resources
        self.server.access_tokens.family_id = new_id()
        # Without PKCE the address has to be repeated, as RFC 6749 wants it.
        repeated = "redirect_uri" in self.request.form or row.code_challenge is None
        return IssuedCode(row, redirect_uri_expected=repeated)

    def _answer_replay(self, row: AuthorizationCode) -> None:
        """Somebody has a copy of the code: what the first one got is withdrawn (RFC 9700, 4.5)."""
        if row.family_id is not None:
            revoke_family(self.server, row.family_id, "code replayed")
        record(
            self.server.session,
            "code_replayed",
            account_id=row.account_id,
            client_id=row.client_id,
        )

    def delete_authorization_code(self, authorization_code: IssuedCode) -> None:
        """Marked, not deleted, so that a replay is noticed."""
        authorization_code.row.used_at = self.server.now

    def authenticate_user(self, authorization_code: IssuedCode) -> Subject | None:
        row = authorization_code.row
        return self.server.subject_of(row.account_id, row.session_id)


class S256Required(CodeChallenge):
    """PKCE as OAuth 2.1 wants it: from every client, by S256 only, at the beginning and at the end."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: AuthorizationCodeGrant, redirect_uri: str | None) -> None:
        del redirect_uri
        data = grant.request.payload.data
        if "code_challenge" not in data:
            _let_nonce_do(grant.request)
            return
        # A missing method means 'plain' (RFC 7636, 4.3).
        if data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("The 'code_challenge_method' has to be S256")
        if not S256_CHALLENGE.fullmatch(data["code_challenge"]):
            raise InvalidRequestError("Invalid 'code_challenge'")


def _let_nonce_do(request: ProviderRequest) -> None:
    """Let a client through that an administrator allows to do without PKCE.

    It has a secret, and the nonce in its ID token tells it that the code was not put in by somebody else
    (RFC 9700, 2.1.1).
    """
    client: ProviderClient = request.client
    data = request.payload.data
    if not client.row.without_pkce or "code_challenge_method" in data:
        raise InvalidRequestError("Missing 'code_challenge'")
    if "nonce" not in data or "openid" not in (request.scope or "").split():
        raise InvalidRequestError("Without 'code_challenge' a 'nonce' and the scope openid are needed")


class ClientCredentialsGrant(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = CONFIDENTIAL

    def validate_token_request(self) -> None:
        super().validate_token_request()
        asked = self.request.payload.scope
        if asked and not self.request.client.get_allowed_scope(asked):
            raise InvalidScopeError


def revoke_family(server: ProviderServer, family_id: object, reason: str) -> None:
    server.session.execute(
        update(TokenFamily)
        .where(TokenFamily.id == family_id, TokenFamily.revoked_at.is_(None))
        .values(revoked_at=server.now, revoked_because=reason)
    )
