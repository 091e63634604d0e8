"""What an account has beside its password."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from auth_service.models import RecoveryCode, TotpFactor
from service_kit.database import ReadSession


@dataclass(frozen=True)
class Factors:
    totp: bool
    recovery_codes_left: int


async def factors_of(session: ReadSession, account_id: UUID) -> Factors:
    return Factors(
        totp=await has_second_factor(session, account_id),
        recovery_codes_left=await session.scalar(
            select(func.count()).where(RecoveryCode.account_id == account_id, RecoveryCode.used_at.is_(None))
        )
        or 0,
    )


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
