"""How people sign in: counted from the audit log, by days of the business zone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Date, cast, func, select

from auth_service.models import Account, AuditEntry, SignOnSession, TotpFactor
from service_kit.database import ReadSession

DAYS_SHOWN = 30
REASONS_SHOWN = 20


@dataclass(frozen=True)
class DayOfSignIns:
    day: date
    good: int
    failed: int


@dataclass(frozen=True)
class Present:
    """What is so at this moment."""

    accounts: int
    blocked: int
    without_password: int
    with_second_factor: int
    open_sessions: int


async def sign_ins_by_day(session: ReadSession, zone: ZoneInfo) -> Sequence[DayOfSignIns]:
    """The last thirty days up to today, the days without a sign-in too."""
    today = datetime.now(UTC).astimezone(zone).date()
    first = today - timedelta(days=DAYS_SHOWN - 1)
    day = cast(func.timezone(zone.key, AuditEntry.at), Date)
    rows = await session.execute(
        select(day, AuditEntry.act, func.count())
        .where(
            AuditEntry.at >= datetime(first.year, first.month, first.day, tzinfo=zone),
            AuditEntry.act.in_(("signed_in", "sign_in_failed")),
        )
        .group_by(day, AuditEntry.act)
    )
    counted = {(found, act): number for found, act, number in rows}
    days = [first + timedelta(days=number) for number in range(DAYS_SHOWN)]
    return [
        DayOfSignIns(one, counted.get((one, "signed_in"), 0), counted.get((one, "sign_in_failed"), 0))
        for one in days
    ]


async def failures_by_reason(session: ReadSession) -> Sequence[tuple[str, int]]:
    """Why sign-ins failed in these days, the most frequent reason first."""
    reason = AuditEntry.details["reason"].astext
    rows = await session.execute(
        select(reason, func.count())
        .where(
            AuditEntry.act == "sign_in_failed",
            AuditEntry.at >= datetime.now(UTC) - timedelta(days=DAYS_SHOWN),
        )
        .group_by(reason)
        .order_by(func.count().desc(), reason)
        .limit(REASONS_SHOWN)
    )
    return [(found or "", number) for found, number in rows]


async def present_state(session: ReadSession, idle_s: int) -> Present:
    now = datetime.now(UTC)
    accounts, blocked, without_password = (
        await session.execute(
            select(
                func.count(),
                func.count().filter(Account.blocked),
                func.count().filter(Account.password_hash.is_(None)),
            ).select_from(Account)
        )
    ).one()
    factors = await session.scalar(select(func.count()).where(TotpFactor.confirmed_at.is_not(None)))
    sessions = await session.scalar(
        select(func.count()).where(
            SignOnSession.ended_at.is_(None),
            SignOnSession.expires_at > now,
            SignOnSession.seen_at > now - timedelta(seconds=idle_s),
        )
    )
    return Present(accounts, blocked, without_password, factors or 0, sessions or 0)
