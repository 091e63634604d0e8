"""The refresh grant: each use gives a new token, and a used one in somebody's hands ends the whole family.

Every statement here is whole in itself and holds its own conditions, so that a renewal needs no transaction
around: one reads what is presented, one puts the successor in its place if it still is unused, and only what
does not hold asks further.
"""

from typing import Any, NoReturn, cast

from authlib.oauth2.rfc6749 import InvalidGrantError, grants
from sqlalchemy import Row, Table, and_, bindparam, insert, literal, or_, select, update

from auth_service.commands.oauth.client import ProviderClient
from auth_service.commands.oauth.grants import CONFIDENTIAL_OR_PUBLIC
from auth_service.commands.oauth.server import ProviderServer
from auth_service.domain.tokens import Subject, digest
from auth_service.models import PEOPLE, Account, AuditEntry, RefreshToken, SignOnSession, TokenFamily, subject
from service_kit.ids import new_id

_TOKENS = cast("Table", RefreshToken.__table__)
_AUDIT = cast("Table", AuditEntry.__table__)
_NOW = bindparam("now", type_=_TOKENS.c.issued_at.type)
_PRESENTED = RefreshToken.token_digest == bindparam("presented")
_ALIVE = and_(
    TokenFamily.id == RefreshToken.family_id,
    TokenFamily.client_id == bindparam("client"),
    TokenFamily.revoked_at.is_(None),
    TokenFamily.expires_at > _NOW,
)

# Put together once: the library takes longer to write such a statement than the database to answer it.
HELD = (
    PEOPLE.add_columns(
        TokenFamily.id.label("family_id"),
        TokenFamily.expires_at.label("family_ends"),
        *(TokenFamily.scope, TokenFamily.resources, TokenFamily.offline, SignOnSession.seen_at),
    )
    .join(TokenFamily, and_(TokenFamily.session_id == SignOnSession.id, TokenFamily.account_id == Account.id))
    .join(RefreshToken, RefreshToken.family_id == TokenFamily.id)
    .where(
        _PRESENTED,
        _ALIVE,
        RefreshToken.used_at.is_(None),
        RefreshToken.expires_at > _NOW,
        Account.blocked.is_(False),
        or_(TokenFamily.offline, and_(SignOnSession.ended_at.is_(None), SignOnSession.expires_at > _NOW)),
    )
)
"""What a refresh token stands for, if it holds in every respect."""

_USED = (
    update(RefreshToken)
    .where(_PRESENTED, _ALIVE, RefreshToken.used_at.is_(None))
    .values(used_at=_NOW)
    .returning(RefreshToken.family_id)
    .cte("used")
)
ROTATED = (
    insert(_TOKENS)
    .from_select(
        ["token_digest", "family_id", "issued_at", "expires_at"],
        select(
            bindparam("successor", type_=_TOKENS.c.token_digest.type),
            _USED.c.family_id,
            _NOW,
            bindparam("ends", type_=_TOKENS.c.expires_at.type),
        ),
    )
    .returning(_TOKENS.c.family_id)
)
"""One token takes the place of another; nothing comes back where somebody else was faster."""

_ENDED = (
    update(TokenFamily)
    .where(_PRESENTED, _ALIVE, RefreshToken.used_at.is_not(None))
    .values(revoked_at=_NOW, revoked_because="refresh token reused")
    .returning(TokenFamily.account_id, TokenFamily.client_id)
    .cte("ended")
)
REUSE_ENDED = insert(_AUDIT).from_select(
    ["id", "at", "act", "account_id", "client_id", "address", "details"],
    select(
        bindparam("entry", type_=_AUDIT.c.id.type),
        _NOW,
        literal("refresh_token_reused"),
        *(_ENDED.c.account_id, _ENDED.c.client_id),
        bindparam("address", type_=_AUDIT.c.address.type),
        bindparam("details", {}, type_=_AUDIT.c.details.type),
    ),
)
"""Two hold the same token and we cannot tell who is the thief: both lose."""


class HeldRefreshToken:
    """A refresh token that holds, in the shape Authlib asks."""

    def __init__(self, presented: bytes, row: Row[*tuple[Any, ...]]) -> None:
        self.presented = presented
        self.row = row

    def check_client(self, client: ProviderClient) -> bool:
        """Only tokens of the client that asks are found."""
        del client
        return True

    def get_scope(self) -> str:
        scope: str = self.row.scope
        return scope


class RefreshTokenGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = CONFIDENTIAL_OR_PUBLIC
    INCLUDE_NEW_REFRESH_TOKEN = True
    server: ProviderServer

    def authenticate_refresh_token(self, refresh_token: str) -> HeldRefreshToken:
        presented = digest(refresh_token)
        row = self.server.session.execute(HELD, self._about(presented)).one_or_none()
        if row is None:
            self._refuse(presented)
        tokens = self.server.access_tokens
        tokens.granted, tokens.family_id, tokens.offline = row.resources, row.family_id, row.offline
        return HeldRefreshToken(presented, row)

    def authenticate_user(self, refresh_token: HeldRefreshToken) -> Subject:
        return subject(refresh_token.row)

    def save_token(self, token: dict[str, Any]) -> None:
        server, request = self.server, self.request
        held: HeldRefreshToken = request.refresh_token
        row = held.row
        successor = {
            "successor": digest(token["refresh_token"]),
            "ends": server.refresh_token_ends(row.family_ends, offline=row.offline),
        }
        if server.session.execute(ROTATED, self._about(held.presented) | successor).first() is None:
            self._refuse(held.presented)
        token["refresh_expires_in"] = server.renewable_s(row.family_ends)
        if not row.offline:
            server.note_use(row.session_id, row.seen_at)

    def revoke_old_credential(self, refresh_token: HeldRefreshToken) -> None:
        """Done with the new one, in one statement (see `ROTATED`)."""

    def _refuse(self, presented: bytes) -> NoReturn:
        about = {"entry": new_id(), "address": self.server.call.address}
        self.server.session.execute(REUSE_ENDED, self._about(presented) | about)
        raise InvalidGrantError

    def _about(self, presented: bytes) -> dict[str, Any]:
        return {"presented": presented, "client": self.request.client.client_id, "now": self.server.now}
