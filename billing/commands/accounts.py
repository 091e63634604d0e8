"""Accounts of people: opened when auth_service registers somebody (A3), never closed."""

from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from billing.domain import AccountKind
from billing.models import accounts
from service_kit.context import clock
from service_kit.database import Session


async def open_account(session: Session, owner: UUID) -> None:
    """Open an employee's account; who has one keeps it."""
    row = {"id": owner, "kind": AccountKind.WORKER, "opened_at": clock(session).now()}
    await session.execute(insert(accounts).values(row).on_conflict_do_nothing())


async def choose_language(session: Session, owner: UUID, locale: str | None) -> None:
    """Write the owner's letters in this language from now on."""
    await session.execute(update(accounts).where(accounts.c.id == owner).values(locale=locale))
