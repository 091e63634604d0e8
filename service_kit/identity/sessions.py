"""Signed-in browser sessions of one service: the browser holds a random id, we hold its hash and the tokens.

The access token itself is read once and not kept: what it said is enough, and what is not kept cannot leak.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import (
    Column,
    DateTime,
    LargeBinary,
    String,
    Table,
    Text,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from service_kit.database import ReadSession, Session, kit_metadata
from service_kit.listening import tell
from service_kit.roles import CurrentUser, Role

ID_BYTES = 32
ENDED = "web_sessions_ended"
"""Told when a session ends: every process of the service believes for a while what it read of them."""

web_sessions = Table(
    "web_sessions",
    kit_metadata,
    Column("id_hash", LargeBinary(32), primary_key=True),
    Column("account_guid", Uuid, nullable=False, index=True),
    Column("provider_session_id", String(255), index=True),
    Column("role", String(20), nullable=False),
    Column("name", Text),
    Column("locale", String(10)),
    Column("id_token", LargeBinary, nullable=False),
    Column("refresh_token", LargeBinary),
    Column("fresh_until", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
)

ONE = select(web_sessions).where(
    web_sessions.c.id_hash == bindparam("id_hash"), web_sessions.c.expires_at > func.now()
)


@dataclass(frozen=True, slots=True)
class WebSession:
    """One browser's session. Its times are the system's, as they guard access."""

    id_hash: bytes
    account_guid: UUID
    provider_session_id: str | None
    role: Role
    name: str | None
    locale: str | None
    id_token: str
    refresh_token: str | None
    fresh_until: datetime
    """End of the last access token: until then what it said may be believed."""
    expires_at: datetime

    @property
    def user(self) -> CurrentUser:
        return CurrentUser(
            guid=self.account_guid,
            role=self.role,
            name=self.name,
            locale=self.locale,
            session_id=self.provider_session_id,
        )


class Sealer:
    """Encrypts what lies in the database or in a browser, with one key per purpose."""

    def __init__(self, secret: str, purpose: str) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=f"ates {purpose}".encode()).derive(secret.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))

    def seal(self, text: str) -> bytes:
        return self._fernet.encrypt(text.encode())

    def open(self, sealed: bytes, *, ttl_s: int | None = None) -> str | None:
        """Answer the text, or None when it was not sealed by us or is older than `ttl_s`."""
        try:
            return self._fernet.decrypt(sealed, ttl=ttl_s).decode()
        except InvalidToken:
            return None


def new_secret() -> str:
    """256 random bits as text for a cookie or a URL."""
    return secrets.token_urlsafe(ID_BYTES)


def hash_of(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode()).digest()


class Sessions:
    """Reads and writes of the session table."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def find(self, session: ReadSession, id_hash: bytes, *, lock: bool = False) -> WebSession | None:
        statement = ONE.with_for_update() if lock else ONE
        row = (await session.execute(statement, {"id_hash": id_hash})).one_or_none()
        if row is None:
            return None
        id_token = self._sealer.open(row.id_token)
        if id_token is None:
            # Sealed with a key that is no longer ours: nobody can be signed in by it.
            return None
        return WebSession(
            id_hash=row.id_hash,
            account_guid=row.account_guid,
            provider_session_id=row.provider_session_id,
            role=Role(row.role),
            name=row.name,
            locale=row.locale,
            id_token=id_token,
            refresh_token=self._sealer.open(row.refresh_token) if row.refresh_token else None,
            fresh_until=row.fresh_until,
            expires_at=row.expires_at,
        )

    async def add(self, session: Session, new: WebSession) -> None:
        # Ended sessions are cleared away here, where one more statement disturbs nobody.
        await session.execute(delete(web_sessions).where(web_sessions.c.expires_at <= func.now()))
        await session.execute(
            insert(web_sessions).values(
                id_hash=new.id_hash,
                account_guid=new.account_guid,
                provider_session_id=new.provider_session_id,
                role=new.role.value,
                name=new.name,
                locale=new.locale,
                id_token=self._sealer.seal(new.id_token),
                refresh_token=self._sealer.seal(new.refresh_token) if new.refresh_token else None,
                fresh_until=new.fresh_until,
                expires_at=new.expires_at,
            )
        )

    async def renew(self, session: Session, renewed: WebSession) -> None:
        await session.execute(
            update(web_sessions)
            .where(web_sessions.c.id_hash == renewed.id_hash)
            .values(
                role=renewed.role.value,
                name=renewed.name,
                locale=renewed.locale,
                id_token=self._sealer.seal(renewed.id_token),
                refresh_token=self._sealer.seal(renewed.refresh_token) if renewed.refresh_token else None,
                fresh_until=renewed.fresh_until,
            )
        )

    async def end(self, session: Session, id_hash: bytes) -> None:
        await session.execute(delete(web_sessions).where(web_sessions.c.id_hash == id_hash))
        await tell(session, ENDED)

    async def end_by_provider(self, session: Session, claims: dict[str, Any]) -> None:
        """End what a logout token names: one session of the provider, or all of an account."""
        if "sid" in claims:
            condition = web_sessions.c.provider_session_id == str(claims["sid"])
        else:
            condition = web_sessions.c.account_guid == UUID(str(claims["sub"]))
        await session.execute(delete(web_sessions).where(condition))
        await tell(session, ENDED)
