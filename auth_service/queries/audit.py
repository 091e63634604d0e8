"""What happened: the audit log, latest first."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select

from auth_service.models import Account, AuditEntry
from service_kit.database import ReadSession


async def audit_entries(
    session: ReadSession,
    *,
    limit: int,
    after: tuple[UUID] | None = None,
    act: str | None = None,
    login: str = "",
    since: datetime | None = None,
    before: datetime | None = None,
) -> Sequence[AuditEntry]:
    """Entries from `after` on into the past; one more than `limit` tells that the list goes on.

    `login` finds what an account did and what was done to it.
    """
    # Ids are in the order of time, so that no second column is needed to page by.
    statement = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit + 1)
    if after is not None:
        statement = statement.where(AuditEntry.id < after[0])
    if act is not None:
        statement = statement.where(AuditEntry.act == act)
    if since is not None:
        statement = statement.where(AuditEntry.at >= since)
    if before is not None:
        statement = statement.where(AuditEntry.at < before)
    if login:
        person = select(Account.id).where(Account.login == login.strip().lower()).scalar_subquery()
        statement = statement.where(or_(AuditEntry.actor_id == person, AuditEntry.account_id == person))
    return (await session.scalars(statement)).all()
