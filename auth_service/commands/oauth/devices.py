"""The device flow (RFC 8628): a device shows a code, a person lets it in on a page of ours."""

from datetime import timedelta
from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidScopeError, UnauthorizedClientError
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint
from authlib.oauth2.rfc8628 import DeviceCodeGrant as StandardDeviceCodeGrant
from sqlalchemy import select

from auth_service.commands.audit import record
from auth_service.commands.oauth.client import ProviderClient
from auth_service.commands.oauth.grants import CONFIDENTIAL_OR_PUBLIC, revoke_family
from auth_service.commands.oauth.requests import ProviderRequest
from auth_service.commands.oauth.resources import allowed_audiences, chosen_audiences
from auth_service.commands.oauth.server import ProviderServer
from auth_service.domain.devices import new_user_code, user_code_digest
from auth_service.domain.tokens import Subject, digest, new_secret
from auth_service.models import DeviceGrant
from service_kit.ids import new_id

CODE_LIFE_S = 600
INTERVAL_S = 5
SLOWER_BY_S = 5


class DeviceAuthorization(DeviceAuthorizationEndpoint):
    CLIENT_AUTH_METHODS = CONFIDENTIAL_OR_PUBLIC
    EXPIRES_IN = CODE_LIFE_S
    INTERVAL = INTERVAL_S
    server: ProviderServer

    def authenticate_client(self, request: ProviderRequest) -> ProviderClient:
        client: ProviderClient = super().authenticate_client(request)
        if not client.check_grant_type(DeviceCodeGrant.GRANT_TYPE):
            raise UnauthorizedClientError("The client may not use the device flow.")
        allowed = allowed_audiences(self.server.settings, client.row)
        chosen_audiences(allowed, None, self.server.call.resources)
        if not client.get_allowed_scope(request.payload.scope):
            raise InvalidScopeError
        return client

    def generate_user_code(self) -> str:
        return new_user_code()

    def generate_device_code(self) -> str:
        return new_secret()

    def get_verification_uri(self) -> str:
        return f"{self.server.settings.issuer}/device"

    def save_device_credential(self, client_id: str, scope: str | None, data: dict[str, Any]) -> None:
        client = self.server.query_client(client_id)
        assert client is not None  # noqa: S101  it has just proved itself
        self.server.session.add(
            DeviceGrant(
                device_digest=digest(data["device_code"]),
                user_code_digest=user_code_digest(data["user_code"]),
                client_id=client_id,
                scope=client.get_allowed_scope(scope),
                expires_at=self.server.now + timedelta(seconds=CODE_LIFE_S),
                interval_s=INTERVAL_S,
                resources=self.server.call.resources or None,
            )
        )


class WaitingDevice:
    """A stored device grant in the shape Authlib asks."""

    def __init__(self, row: DeviceGrant, server: ProviderServer) -> None:
        self.row = row
        self._server = server

    def get_client_id(self) -> str:
        return self.row.client_id

    def get_scope(self) -> str:
        return self.row.scope

    def get_user_code(self) -> DeviceGrant:
        # Only handed on to `query_user_grant`; of the code itself there is but a digest.
        return self.row

    def is_expired(self) -> bool:
        return self.row.expires_at <= self._server.now


class DeviceCodeGrant(StandardDeviceCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = CONFIDENTIAL_OR_PUBLIC
    server: ProviderServer

    def authenticate_token_endpoint_client(self) -> ProviderClient:
        client: ProviderClient = super().authenticate_token_endpoint_client()
        self.request.client = client
        return client

    def query_device_credential(self, device_code: str) -> WaitingDevice:
        # The row lock lets one of several simultaneous redemptions through.
        row = self.server.session.scalar(
            select(DeviceGrant)
            .where(
                DeviceGrant.device_digest == digest(device_code),
                DeviceGrant.client_id == self.request.client.client_id,
            )
            .with_for_update()
        )
        if row is None:
            raise InvalidGrantError("Invalid 'device_code'")
        if row.used_at is not None:
            if row.family_id is not None:
                revoke_family(self.server, row.family_id, "device code replayed")
            record(self.server.session, "code_replayed", account_id=row.account_id, client_id=row.client_id)
            raise InvalidGrantError("Invalid 'device_code'")
        return WaitingDevice(row, self.server)

    def query_user_grant(self, user_code: DeviceGrant) -> tuple[Subject | None, bool] | None:
        row = user_code
        if row.allowed is None:
            return None
        if not row.allowed or row.account_id is None or row.session_id is None:
            return None, False
        person = self.server.subject_of(row.account_id, row.session_id)
        self.server.access_tokens.granted = row.resources
        self.server.access_tokens.family_id = new_id()
        return person, person is not None

    def should_slow_down(self, credential: WaitingDevice) -> bool:
        row, now = credential.row, self.server.now
        too_early = row.polled_at is not None and now - row.polled_at < timedelta(seconds=row.interval_s)
        row.polled_at = now
        if too_early:
            row.interval_s += SLOWER_BY_S
        return too_early

    def save_token(self, token: dict[str, Any]) -> None:
        self.request.credential.row.used_at = self.server.now
        super().save_token(token)
