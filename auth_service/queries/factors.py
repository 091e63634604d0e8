"""What an account has beside its password."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from auth_service.models import Passkey, RecoveryCode, TotpFactor
from service_kit.database import ReadSession


@dataclass(frozen=True)
class Factors:
    totp: bool
    passkeys: int
    recovery_codes_left: int


async def factors_of(session: ReadSession, account_id: UUID) -> Factors:
    return Factors(
        totp=await has_second_factor(session, account_id),
        passkeys=await session.scalar(select(func.count()).where(Passkey.account_id == account_id)) or 0,
        recovery_codes_left=await session.scalar(
            select(func.count()).where(RecoveryCode.account_id == account_id, RecoveryCode.used_at.is_(None))
        )
        or 0,
    )


async def passkeys_of(session: ReadSession, account_id: UUID) -> Sequence[Passkey]:
    return (
        await session.scalars(
            select(Passkey).where(Passkey.account_id == account_id).order_by(Passkey.created_at, Passkey.id)
        )
    ).all()


async def has_second_factor(session: ReadSession, account_id: UUID) -> bool:
    found = await session.scalar(
        select(TotpFactor.account_id).where(
            TotpFactor.account_id == account_id, TotpFactor.confirmed_at.is_not(None)
        )
    )
    return found is not None


async def waiting_totp(session: ReadSession, account_id: UUID) -> TotpFactor | None:
    """The app that is being added and has shown no code yet."""
    found: TotpFactor | None = await session.scalar(
        select(TotpFactor).where(TotpFactor.account_id == account_id, TotpFactor.confirmed_at.is_(None))
    )
    return found
