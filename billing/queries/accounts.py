"""Accounts and their journal, as people read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_, union_all

from billing.domain import COMPANY, AccountKind, AccountUnknown, EntryKind
from billing.models import accounts, entries, postings, titles
from service_kit.database import ReadSession
from service_kit.paging import Page, PageRequest
from service_kit.text import message as _

ENTRIES_OF_TASK_MAX = 500
"""A task that was dealt out more often shows its latest entries."""


@dataclass(frozen=True, slots=True)
class Balance:
    account_id: UUID
    balance_cents: int
    earned_today_cents: int
    """Rewards less fees of the day, payouts aside (A3)."""
    version: int
    """Grows with every posting: whether anything is new."""


@dataclass(frozen=True, slots=True)
class Account:
    id: UUID
    kind: AccountKind
    balance_cents: int
    entry_count: int
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class EntryLine:
    """One line of an account's journal, from that account's view."""

    id: UUID
    account_id: UUID
    version: int
    task_id: UUID | None
    title: str | None
    jira_id: str | None
    kind: EntryKind
    amount_cents: int
    balance_after_cents: int
    business_date: date
    occurred_at: datetime
    late: bool


async def balance_of(session: ReadSession, owner: UUID, today: date) -> Balance:
    """The owner's account; nobody has to wait for the opening to see that it is empty."""
    found = (
        await session.execute(
            select(accounts.c.balance_cents, accounts.c.version).where(accounts.c.id == owner)
        )
    ).one_or_none()
    if found is None:
        return Balance(owner, 0, 0, 0)
    earned = await session.scalar(
        select(func.coalesce(func.sum(postings.c.amount_cents), 0))
        .join(entries, entries.c.id == postings.c.entry_id)
        .where(
            postings.c.account_id == owner,
            postings.c.business_date == today,
            entries.c.kind != EntryKind.PAYOUT,
        )
    )
    return Balance(owner, found.balance_cents, int(earned or 0), found.version)


async def account(session: ReadSession, account_id: UUID) -> Account:
    row = (await session.execute(_accounts().where(accounts.c.id == account_id))).one_or_none()
    if row is None:
        raise AccountUnknown(_("Billing keeps no account with this id."))
    return _account(*row)


async def accounts_by_balance(
    session: ReadSession, page: PageRequest, *, below_zero: bool = False, kind: AccountKind | None = None
) -> Page[Account]:
    """List accounts, the deepest debt first."""
    statement = _accounts().order_by(accounts.c.balance_cents, accounts.c.id).limit(page.limit + 1)
    if kind is not None:
        statement = statement.where(accounts.c.kind == kind)
    if below_zero:
        statement = statement.where(accounts.c.balance_cents < 0)
    if (after := page.after(int, UUID)) is not None:
        statement = statement.where(tuple_(accounts.c.balance_cents, accounts.c.id) > after)
    rows = [_account(*row) for row in await session.execute(statement)]
    return page.page(rows, lambda row: (row.balance_cents, row.id))


async def entries_of(
    session: ReadSession, account_id: UUID, page: PageRequest, *, day: date | None = None
) -> Page[EntryLine]:
    """List an account's entries, the newest first; of one business day when given."""
    statement = (
        entry_lines()
        .where(postings.c.account_id == account_id)
        .order_by(postings.c.version.desc())
        .limit(page.limit + 1)
    )
    if day is not None:
        statement = statement.where(postings.c.business_date == day)
    if (after := page.after(int)) is not None:
        statement = statement.where(postings.c.version < after[0])
    rows = [entry_line(*row) for row in await session.execute(statement)]
    return page.page(rows, lambda row: (row.version,))


async def entries_of_task(
    session: ReadSession, task_id: UUID, account_id: UUID | None
) -> Sequence[EntryLine]:
    """List the newest entries of one task in their order, on one account or on those of all workers."""
    # One condition per kind, as each kind has an index of its own that begins with the task.
    kinds = [
        select(entries.c.id).where(entries.c.task_id == task_id, entries.c.kind == kind)
        for kind in (EntryKind.FEE, EntryKind.REWARD)
    ]
    statement = (
        entry_lines()
        .where(entries.c.id.in_(union_all(*kinds)))
        .order_by(entries.c.occurred_at.desc(), entries.c.id.desc())
        .limit(ENTRIES_OF_TASK_MAX)
    )
    if account_id is None:
        statement = statement.where(postings.c.account_id != COMPANY)
    else:
        statement = statement.where(postings.c.account_id == account_id)
    return [entry_line(*row) for row in reversed((await session.execute(statement)).all())]


def entry_lines() -> Select[tuple[object, ...]]:
    return (
        select(
            entries.c.id,
            postings.c.account_id,
            postings.c.version,
            entries.c.task_id,
            titles.c.title,
            titles.c.jira_id,
            entries.c.kind,
            postings.c.amount_cents,
            postings.c.balance_after_cents,
            entries.c.business_date,
            entries.c.occurred_at,
            entries.c.late,
        )
        .select_from(postings)
        .join(entries, entries.c.id == postings.c.entry_id)
        .outerjoin(titles, titles.c.task_id == entries.c.task_id)
    )


def entry_line(*columns: object) -> EntryLine:
    """Name the columns of `entry_lines`."""
    return EntryLine(*columns)  # type: ignore[arg-type]  # typed by the tables


def _accounts() -> Select[tuple[object, ...]]:
    return select(
        accounts.c.id, accounts.c.kind, accounts.c.balance_cents, accounts.c.version, accounts.c.opened_at
    )


def _account(*columns: object) -> Account:
    return Account(*columns)  # type: ignore[arg-type]  # typed by the tables
