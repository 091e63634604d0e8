"""The key ring of this process: read from the database, kept for a short while."""

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from joserfc.jwk import Key, import_key
from sqlalchemy import Select, or_, select

from auth_service.domain.keys import KEPT_AFTER_USE, Algorithm, KeyRing, StoredKey, unseal
from auth_service.models import SigningKey
from service_kit.database import ReadSession

RING_LIFE_S = 30
"""A rotation sets the hour of its change further ahead than this, so that all processes change together."""


class Keys:
    """Answers the present key ring; one per process."""

    def __init__(self, secret_key: str) -> None:
        self._secret_key = secret_key
        self._ring: KeyRing | None = None
        self._read_at = 0.0
        self._opened: dict[str, Key] = {}
        self._reading = asyncio.Lock()

    async def ring(self, session: ReadSession) -> KeyRing:
        if self._ring is None or self._is_old():
            async with self._reading:
                if self._ring is None or self._is_old():
                    self._ring = await self._read(session)
                    self._read_at = time.monotonic()
        return self._ring

    def remembered(self) -> KeyRing | None:
        """The present key ring, if this process need not ask for it."""
        return None if self._is_old() else self._ring

    def forget(self) -> None:
        """Read again at the next use, after a change made by this very process."""
        self._ring = None

    async def _read(self, session: ReadSession) -> KeyRing:
        """Take up what changed. A key itself never does, and to read one of RSA takes 40 ms."""
        rows = (await session.scalars(_in_use())).all()
        self._opened = {row.kid: self._opened.get(row.kid) or _opened(row, self._secret_key) for row in rows}
        return KeyRing(_stored(row, self._opened[row.kid]) for row in rows)

    def _is_old(self) -> bool:
        return time.monotonic() - self._read_at > RING_LIFE_S


async def published_keys(session: ReadSession) -> Sequence[SigningKey]:
    """Every key that others may still meet, the newest of each kind first."""
    horizon = datetime.now(UTC) - KEPT_AFTER_USE
    return (
        await session.scalars(
            select(SigningKey)
            .where(or_(SigningKey.signs_until.is_(None), SigningKey.signs_until > horizon))
            .order_by(SigningKey.algorithm, SigningKey.created_at.desc())
        )
    ).all()


async def read_key_ring(session: ReadSession, secret_key: str) -> KeyRing:
    """For whoever needs it once."""
    return await Keys(secret_key).ring(session)


def _in_use() -> Select[SigningKey]:
    horizon = datetime.now(UTC) - KEPT_AFTER_USE
    return (
        select(SigningKey)
        .where(or_(SigningKey.signs_until.is_(None), SigningKey.signs_until > horizon))
        .order_by(SigningKey.created_at)
    )


def _opened(row: SigningKey, secret_key: str) -> Key:
    jwk = json.loads(unseal(secret_key, row.kid, row.sealed_jwk))
    # The key type is named, so that the library reads PEM or JSON of exactly this kind and guesses nothing.
    return import_key(jwk, "EC") if row.algorithm == "ES256" else import_key(jwk, "RSA")


def _stored(row: SigningKey, key: Key) -> StoredKey:
    algorithm: Algorithm = "ES256" if row.algorithm == "ES256" else "RS256"
    return StoredKey(key=key, algorithm=algorithm, signs_from=row.signs_from)
