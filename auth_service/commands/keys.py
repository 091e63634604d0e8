"""Signing keys come and go: the first ones, the rotation, the farewell of old ones."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, update

from auth_service.commands.audit import record
from auth_service.domain.keys import ALGORITHMS, KEY_CACHE_S, Algorithm, generate_key, seal
from auth_service.models import SigningKey
from service_kit.database import Session, lock_key

CHANGE_AHEAD = timedelta(seconds=60)
"""A change is announced this long before, so that every process has read it when its hour comes."""


async def ensure_keys(session: Session, secret_key: str) -> None:
    """Make the first keys, and each one's successor, so that clients know it long before its turn."""
    await _lock(session)
    for algorithm in ALGORITHMS:
        rows = (await session.scalars(select(SigningKey).where(SigningKey.algorithm == algorithm))).all()
        now = datetime.now(UTC)
        if not any(row.signs_from for row in rows):
            session.add(_new_key(algorithm, secret_key, signs_from=now))
        if not any(row.signs_from is None for row in rows):
            session.add(_new_key(algorithm, secret_key, signs_from=None))
    await session.flush()


async def rotate_keys(
    session: Session, secret_key: str, *, key_life_days: int | None = None, actor_id: UUID | None = None
) -> list[str]:
    """Let the waiting keys take over; with `key_life_days` only where the present one is that old.

    Answers the ids of the keys that will sign.
    """
    await _lock(session)
    now = datetime.now(UTC)
    changed = []
    for algorithm in ALGORITHMS:
        present = await session.scalar(
            select(SigningKey).where(
                SigningKey.algorithm == algorithm,
                SigningKey.signs_from.is_not(None),
                SigningKey.signs_until.is_(None),
            )
        )
        waiting = await session.scalar(
            select(SigningKey)
            .where(SigningKey.algorithm == algorithm, SigningKey.signs_from.is_(None))
            .order_by(SigningKey.created_at)
            .limit(1)
        )
        if waiting is None or (present is not None and not _is_due(present, key_life_days, now)):
            continue
        # Never before everyone who caches our public keys has seen the new one.
        turn = max(now + CHANGE_AHEAD, waiting.created_at + timedelta(seconds=KEY_CACHE_S))
        waiting.signs_from = turn
        await session.execute(
            update(SigningKey)
            .where(
                SigningKey.algorithm == algorithm,
                SigningKey.kid != waiting.kid,
                SigningKey.signs_from.is_not(None),
                SigningKey.signs_until.is_(None),
            )
            .values(signs_until=turn)
        )
        session.add(_new_key(algorithm, secret_key, signs_from=None))
        details = {"algorithm": algorithm, "kid": waiting.kid}
        record(session, "keys_rotated", actor_id=actor_id, details=details)
        changed.append(waiting.kid)
    await session.flush()
    return changed


def _is_due(present: SigningKey, key_life_days: int | None, now: datetime) -> bool:
    if key_life_days is None:
        return True
    return present.signs_from is not None and now - present.signs_from >= timedelta(days=key_life_days)


async def _lock(session: Session) -> None:
    """One process at a time makes keys; the lock ends with the transaction."""
    await session.execute(select(func.pg_advisory_xact_lock(lock_key("auth signing keys"))))


def _new_key(algorithm: Algorithm, secret_key: str, *, signs_from: datetime | None) -> SigningKey:
    key = generate_key(algorithm)
    kid = key.kid or ""
    return SigningKey(
        kid=kid,
        algorithm=algorithm,
        sealed_jwk=seal(secret_key, kid, json.dumps(key.as_dict(private=True)).encode()),
        created_at=datetime.now(UTC),
        signs_from=signs_from,
    )
