"""The replica of accounts: who may get tasks."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, case, or_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import InstrumentedAttribute

from service_kit.database import Session
from tracker import domain
from tracker.domain import AccountFact
from tracker.models import Account


async def record_accounts(session: Session, facts: Iterable[AccountFact]) -> None:
    """Keep the replica of accounts up to date. What is older than what is known changes nothing.

    A fact about an account never heard of creates it with what the fact tells.
    """
    newest = domain.newest_by_account(facts)
    if not newest:
        return
    # Sorted by id, so that two consumers with the same accounts can not lock each other out.
    rows = [
        {
            "id": known.account_id,
            "role": known.role,
            "role_changed_at": known.role_at,
            "active": True if known.active is None else known.active,
            "active_changed_at": known.active_at,
        }
        for known in sorted(newest, key=lambda known: known.account_id)
    ]
    statement = upsert(Account)
    new = statement.excluded
    newer_role = _newer(new.role_changed_at, Account.role_changed_at)
    newer_active = _newer(new.active_changed_at, Account.active_changed_at)
    changes = {
        "role": case((newer_role, new.role), else_=Account.role),
        "role_changed_at": case((newer_role, new.role_changed_at), else_=Account.role_changed_at),
        "active": case((newer_active, new.active), else_=Account.active),
        "active_changed_at": case((newer_active, new.active_changed_at), else_=Account.active_changed_at),
    }
    await session.execute(statement.on_conflict_do_update(index_elements=[Account.id], set_=changes), rows)


def _newer(
    told: ColumnElement[datetime | None], known: InstrumentedAttribute[datetime | None]
) -> ColumnElement[bool]:
    return told.is_not(None) & or_(known.is_(None), told >= known)
