"""The second factor: an authenticator app is added, asked for, removed; recovery codes stand in for it."""

import time
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from auth_service.commands.audit import record
from auth_service.domain.factors import (
    WrongCode,
    clean_code,
    new_recovery_codes,
    new_totp_secret,
    recovery_digest,
    totp_step,
)
from auth_service.domain.keys import seal, unseal
from auth_service.models import Account, Passkey, RecoveryCode, TotpFactor
from service_kit.database import Session
from service_kit.text import message as _


async def begin_totp(session: Session, secret_key: str, account_id: UUID) -> None:
    """Make a secret for a new app. It asks nobody for a code before it is confirmed by one."""
    # The account is locked first by everything that changes its factors.
    await session.get_one(Account, account_id, with_for_update=True)
    fresh = {
        "sealed_secret": seal(secret_key, _place(account_id), new_totp_secret()),
        "created_at": datetime.now(UTC),
        "last_step": 0,
    }
    statement = insert(TotpFactor).values(account_id=account_id, **fresh)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["account_id"], set_=fresh, where=TotpFactor.confirmed_at.is_(None)
        )
    )


async def confirm_totp(session: Session, secret_key: str, account_id: UUID, code: str) -> list[str]:
    """Take the first code of a new app, and answer the recovery codes, which are shown this once.

    Raises `WrongCode`.
    """
    factor = await _locked(session, account_id)
    step = None if factor is None else _step(factor, secret_key, code)
    if factor is None or factor.confirmed_at is not None or step is None:
        raise WrongCode(_("This code is not right. Look at the app again; a code holds for half a minute."))
    factor.confirmed_at = datetime.now(UTC)
    factor.last_step = step
    record(session, "factor_added", actor_id=account_id, account_id=account_id, details={"factor": "totp"})
    return await renew_recovery_codes(session, account_id)


async def renew_recovery_codes(session: Session, account_id: UUID) -> list[str]:
    """Make new recovery codes; the old ones are worth nothing from now on."""
    codes = new_recovery_codes()
    await session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    session.add_all(RecoveryCode(account_id=account_id, code_digest=recovery_digest(code)) for code in codes)
    await session.flush()
    record(session, "recovery_codes_made", actor_id=account_id, account_id=account_id)
    return codes


async def remove_factors(session: Session, actor_id: UUID | None, account_id: UUID) -> None:
    """Remove app and recovery codes."""
    gone = await session.execute(
        delete(TotpFactor).where(TotpFactor.account_id == account_id).returning(TotpFactor.confirmed_at)
    )
    await session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    if gone.all():
        record(
            session, "factor_removed", actor_id=actor_id, account_id=account_id, details={"factor": "totp"}
        )


async def reset_factors(session: Session, actor_id: UUID, account_id: UUID) -> None:
    """Remove whatever signs in beside the password, for somebody whose devices are lost or stolen."""
    await remove_factors(session, actor_id, account_id)
    gone = await session.execute(
        delete(Passkey).where(Passkey.account_id == account_id).returning(Passkey.id)
    )
    if gone.all():
        record(
            session,
            "factor_removed",
            actor_id=actor_id,
            account_id=account_id,
            details={"factor": "passkeys"},
        )


async def check_second_factor(session: Session, secret_key: str, account_id: UUID, code: str) -> bool:
    """Whether this is a code of the app, or a recovery code; either is good once.

    The guess has been counted before, like that of a password.
    """
    factor = await _locked(session, account_id)
    if factor is None or factor.confirmed_at is None:
        return False
    step = _step(factor, secret_key, code)
    if step is not None:
        factor.last_step = step
        return True
    digest = recovery_digest(code)
    if digest is None:
        return False
    used = await session.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.account_id == account_id,
            RecoveryCode.code_digest == digest,
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=datetime.now(UTC))
        .returning(RecoveryCode.account_id)
    )
    if used.first() is None:
        return False
    record(session, "recovery_code_used", actor_id=account_id, account_id=account_id)
    return True


def open_secret(secret_key: str, factor: TotpFactor) -> bytes:
    return unseal(secret_key, _place(factor.account_id), factor.sealed_secret)


def _step(factor: TotpFactor, secret_key: str, code: str) -> int | None:
    return totp_step(open_secret(secret_key, factor), clean_code(code), time.time(), factor.last_step)


def _place(account_id: UUID) -> str:
    """Sealed for this account alone: copied into another row it opens nothing."""
    return f"totp {account_id}"


async def _locked(session: Session, account_id: UUID) -> TotpFactor | None:
    found: TotpFactor | None = await session.scalar(
        select(TotpFactor)
        .where(TotpFactor.account_id == account_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found
