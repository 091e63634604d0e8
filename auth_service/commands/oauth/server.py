"""The authorization server of one request: where Authlib meets our tables, keys and clients."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe
from typing import Any
from uuid import UUID

from authlib.oauth2 import AuthorizationServer, OAuth2Error
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidScopeError
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from joserfc.jwk import KeySet
from sqlalchemy import update
from sqlalchemy.orm import Session as SyncSession

from auth_service.commands.oauth.client import ProviderClient
from auth_service.commands.oauth.requests import OAuthAnswer, OAuthCall, ProviderRequest
from auth_service.commands.oauth.resources import allowed_audiences, chosen_audiences, opens_services
from auth_service.domain.keys import ACCESS_TOKENS, KeyRing
from auth_service.domain.tokens import SERVICE_SUBJECT, Subject, digest, new_secret, person_claims
from auth_service.models import (
    PEOPLE,
    Account,
    AuthorizationCode,
    DeviceGrant,
    OAuthClient,
    RefreshToken,
    SignOnSession,
    TokenFamily,
    subject,
)
from auth_service.settings import AuthSettings

OFFLINE = "offline_access"
SCOPES = ("openid", "profile", "email", "phone", "address", OFFLINE)
SCOPE_NAME = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""RFC 6749, 3.3."""

CLIENT_LIFE_S = 5.0
"""So long after a change of a client another process may still act on the old one."""

NO_STORE = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))


class KnownClients:
    """Clients as they were a moment ago: asked at every call, changed hardly ever. One per process."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[float, OAuthClient]] = {}

    def forget(self) -> None:
        """Read again at the next use, after a change made by this very process."""
        self._rows.clear()

    def find(self, session: SyncSession, client_id: str) -> OAuthClient | None:
        found = self._rows.get(client_id)
        if found is not None and time.monotonic() - found[0] < CLIENT_LIFE_S:
            return found[1]
        # Unknown ones are not remembered: anybody may invent as many as they like.
        self._rows.pop(client_id, None)
        row = session.get(OAuthClient, client_id)
        if row is not None:
            # It outlives this session, and is only read.
            session.expunge(row)
            self._rows[client_id] = (time.monotonic(), row)
        return row


@dataclass(frozen=True)
class Provider:
    """What every protocol call needs beside its transaction."""

    settings: AuthSettings
    ring: KeyRing
    clients: KnownClients = field(default_factory=KnownClients)


class AccessTokens(JWTBearerTokenGenerator):
    """Access tokens of RFC 9068 with guid and role (S3-13), signed by the one active key."""

    def __init__(self, provider: Provider, *, asked: Sequence[str] = ()) -> None:
        self._provider = provider
        self._asked = list(asked)
        self.granted: list[str] | None = None
        """Services that the code or the family is good for; absent: whatever the client may call."""

        self.family_id: UUID | None = None
        """The refresh tokens that the new one is of; it ends with them. Absent for a client's own token."""

        self.offline = False
        """Whether the family belongs to no session."""

        super().__init__(
            issuer=provider.settings.issuer,
            alg=ACCESS_TOKENS,
            refresh_token_generator=lambda **_: new_secret(),
            expires_generator=lambda *_: provider.settings.access_token_s,
        )

    def get_jwks(self) -> KeySet:
        return self._provider.ring.signing(ACCESS_TOKENS, datetime.now(UTC))

    def get_audiences(self, client: ProviderClient, user: Subject | None, scope: str) -> list[str]:
        del user, scope
        allowed = allowed_audiences(self._provider.settings, client.row)
        return chosen_audiences(allowed, self.granted, self._asked)

    def get_jti(self, client: ProviderClient, grant_type: str, user: Subject | None, scope: str) -> str:
        del client, grant_type, user, scope
        return token_urlsafe(16)

    def get_extra_claims(
        self, client: ProviderClient, grant_type: str, user: Subject | None, scope: str
    ) -> dict[str, Any]:
        del grant_type
        if user is None:
            return {"sub": f"{SERVICE_SUBJECT}{client.get_client_id()}"}
        claims = person_claims(user)
        if "profile" not in scope.split() and not opens_services(
            self._provider.settings, self.get_audiences(client, user, scope)
        ):
            # Services of ours decide by the role; others learn of it by the scope that tells it.
            del claims["role"]
        if self.family_id is not None:
            claims["grant_id"] = str(self.family_id)
            if self.offline or OFFLINE in scope.split():
                # A sign-out refuses the tokens of its session, and these are not to end with it.
                del claims["sid"]
        return claims


class ProviderServer(AuthorizationServer):
    """Built anew for each request (some microseconds), so that it never holds another one's state."""

    def __init__(self, session: SyncSession, provider: Provider, call: OAuthCall) -> None:
        super().__init__(scopes_supported=SCOPES)
        self.session = session
        self.provider = provider
        self.settings = provider.settings
        self.call = call
        self.now = datetime.now(UTC)
        self.access_tokens = AccessTokens(provider, asked=call.resources)
        self.register_token_generator("default", self.access_tokens)

    def query_client(self, client_id: str) -> ProviderClient | None:
        row = self.provider.clients.find(self.session, client_id)
        return None if row is None or row.disabled else ProviderClient(row)

    def save_token(self, token: dict[str, Any], request: ProviderRequest) -> None:
        """Keep what is needed to recognise the refresh token; access tokens are known by their signature.

        The one that takes the place of another is kept by `RefreshTokenGrant`.
        """
        if request.user is None:
            return
        # Either a code that was redeemed or a device that was let in.
        code = request.authorization_code.row if request.authorization_code else request.credential.row
        family = self._found_family(code, token)
        if secret := token.get("refresh_token"):
            ends = self.refresh_token_ends(family.expires_at, offline=family.offline)
            self.session.add(
                RefreshToken(
                    token_digest=digest(secret), family_id=family.id, issued_at=self.now, expires_at=ends
                )
            )
            token["refresh_expires_in"] = self.renewable_s(family.expires_at)

    def refresh_token_ends(self, family_ends: datetime, *, offline: bool) -> datetime:
        """When a refresh token of this moment ends unused; never after its family."""
        idle = (
            timedelta(days=self.settings.offline_idle_days)
            if offline
            else timedelta(seconds=self.settings.session_idle_s)
        )
        return min(self.now + idle, family_ends)

    def renewable_s(self, family_ends: datetime) -> int:
        """So long tokens can be renewed; a web app lets its own session last as long."""
        return int((family_ends - self.now).total_seconds())

    def _found_family(self, code: AuthorizationCode | DeviceGrant, token: dict[str, Any]) -> TokenFamily:
        sign_on = self.session.get_one(SignOnSession, code.session_id)
        offline = OFFLINE in token.get("scope", "").split()
        offline_end = self.now + timedelta(days=self.settings.offline_life_days)
        family = TokenFamily(
            id=self.access_tokens.family_id,
            client_id=code.client_id,
            account_id=code.account_id,
            session_id=code.session_id,
            scope=token.get("scope", ""),
            created_at=self.now,
            expires_at=offline_end if offline else sign_on.expires_at,
            resources=self.access_tokens.granted,
            offline=offline,
        )
        self.session.add(family)
        self.session.flush()
        code.family_id = family.id
        if not offline:
            self.note_use(sign_on.id, sign_on.seen_at)
        return family

    def note_use(self, session_id: UUID, seen_at: datetime) -> None:
        """Whoever works in any of the services is not idle here; once a minute is exact enough."""
        if seen_at < self.now - timedelta(seconds=60):
            self.session.execute(
                update(SignOnSession).where(SignOnSession.id == session_id).values(seen_at=self.now)
            )

    def subject_of(self, account_id: UUID, session_id: UUID, *, offline: bool = False) -> Subject | None:
        """The person behind a code or token, unless blocked or, where it matters, signed out meanwhile."""
        statement = PEOPLE.where(
            Account.id == account_id, SignOnSession.id == session_id, Account.blocked.is_(False)
        )
        if not offline:
            statement = statement.where(SignOnSession.ended_at.is_(None), SignOnSession.expires_at > self.now)
        found = self.session.execute(statement).one_or_none()
        return None if found is None else subject(found)

    def validate_requested_scope(self, scope: str | None) -> None:
        """Names that nobody here knows are left out of what is granted (OpenID Connect Core, 3.1.2.1)."""
        if scope and not all(SCOPE_NAME.fullmatch(name) for name in scope.split()):
            raise InvalidScopeError

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Authlib tells plug-ins of its steps by this; we have none."""

    def handle_error_response(self, request: ProviderRequest, error: OAuth2Error) -> OAuthAnswer:
        if isinstance(error, InvalidClientError):
            # One answer for all who are not known or have not proven it (RFC 6749, 5.2).
            error.status_code = 401
        answer: OAuthAnswer = super().handle_error_response(request, error)
        if not isinstance(error, InvalidClientError):
            return answer
        # Authlib's challenge lacks the realm, without which there is none (RFC 7617, 2).
        challenge = ("WWW-Authenticate", f'Basic realm="{self.settings.issuer}"')
        others = [header for header in answer.headers if header[0] != challenge[0]]
        return replace(answer, headers=(*others, challenge))

    def create_oauth2_request(self, request: OAuthCall | ProviderRequest) -> ProviderRequest:
        # Authlib wraps again what it has wrapped before, once per registered endpoint.
        return request if isinstance(request, ProviderRequest) else ProviderRequest(request)

    def handle_response(
        self, status: int, body: Mapping[str, Any] | str, headers: Sequence[tuple[str, str]]
    ) -> OAuthAnswer:
        return OAuthAnswer(status, body, tuple(headers))


def mint_access_token(provider: Provider, person: Subject, client_id: str, scope: str) -> str:
    """An access token without a protocol exchange, for the local command line."""
    row = OAuthClient(client_id=client_id, scopes=list(SCOPES), grant_types=[])
    generator = AccessTokens(provider)
    token: str = generator.access_token_generator(ProviderClient(row), "local", person, scope)
    return token
