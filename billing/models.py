"""Tables of the ledger. Journal, postings, prices and payouts only grow: by rights and by triggers.

The migrations beside add what a model cannot say: append-only triggers, the check that every entry sums to
zero and that its accounts exist, the refusal of entries for closed days, and the view `day_figures`.
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    column,
    table,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service_kit.database import NAMING, Cents, Id, Moment


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class LedgerAccount(Base):
    __tablename__ = "ledger_accounts"
    __table_args__ = (
        CheckConstraint("kind in ('worker', 'company', 'payouts')", name="kind"),
        # No index on what changes with every posting, and room for it: a change stays in its page.
        {"postgresql_with": {"fillfactor": 50}},
    )

    id: Mapped[Id]
    """A worker's account has the worker's own guid."""
    kind: Mapped[str] = mapped_column(Text)
    balance_cents: Mapped[Cents] = mapped_column(server_default="0")
    """Cache: the sum of the account's postings."""
    carried_cents: Mapped[Cents] = mapped_column(server_default="0")
    """Cache: the sum of its postings up to the last closed day; for a worker, zero or a debt."""
    version: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Cache: how many postings it has."""
    locale: Mapped[str | None] = mapped_column(Text)
    """Language of the owner's letters, once the owner has chosen one."""
    opened_at: Mapped[Moment]


class TaskPrice(Base):
    __tablename__ = "task_prices"

    task_id: Mapped[Id]
    fee_cents: Mapped[Cents]
    reward_cents: Mapped[Cents]
    priced_at: Mapped[Moment]


class TaskTitle(Base):
    """What the tracker calls a task, for people who read the journal."""

    __tablename__ = "task_titles"

    task_id: Mapped[Id]
    title: Mapped[str] = mapped_column(Text)
    jira_id: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[Moment]


class JournalEntry(Base):
    __tablename__ = "journal_entries"
    __table_args__ = (
        CheckConstraint("kind in ('fee', 'reward', 'payout')", name="kind"),
        CheckConstraint("(kind = 'payout') = (task_id is null)", name="task"),
        # A cycle of a task is charged once and a task is rewarded once, whatever ids the events carry.
        Index("uq_journal_entries_fee", "task_id", "cycle", unique=True, postgresql_where="kind = 'fee'"),
        Index("uq_journal_entries_reward", "task_id", unique=True, postgresql_where="kind = 'reward'"),
        Index("ix_journal_entries_late", "business_date", postgresql_where="late"),
    )

    id: Mapped[Id]
    event_id: Mapped[UUID] = mapped_column(Uuid, unique=True)
    """The fact that caused it; for a payout the payout's own id."""
    kind: Mapped[str] = mapped_column(Text)
    task_id: Mapped[UUID | None] = mapped_column(Uuid)
    cycle: Mapped[int | None] = mapped_column(Integer)
    """Which assignment of the task, counted by the tracker."""
    business_date: Mapped[date] = mapped_column(Date, index=True)
    """The day it counts on; later than the event's own date when that day was closed."""
    occurred_at: Mapped[Moment]
    recorded_at: Mapped[Moment]
    late: Mapped[bool]


class Posting(Base):
    """One side of an entry, in the order of its account: `version` counts from 1."""

    __tablename__ = "postings"
    __table_args__ = (
        CheckConstraint("amount_cents <> 0", name="amount"),
        Index("ix_postings_day", "business_date", "account_id"),
        UniqueConstraint("entry_id", "account_id", name="uq_postings_entry_id"),
    )

    # Account and entry are checked by a trigger, a whole statement at once.
    account_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    entry_id: Mapped[UUID] = mapped_column(Uuid)
    business_date: Mapped[date] = mapped_column(Date)
    """Repeated from the entry, so that one account's day is one short index scan."""
    amount_cents: Mapped[Cents]
    balance_after_cents: Mapped[Cents]


class Day(Base):
    """A business day. Figures are filled in by the close and never change afterwards.

    It is `closing` from the moment no fact counts on it any more until its accounts are settled.
    """

    __tablename__ = "days"
    __table_args__ = (
        CheckConstraint("state in ('open', 'closing', 'closed')", name="state"),
        CheckConstraint("(state = 'open') = (closed_at is null)", name="closed_at"),
        CheckConstraint("state = 'closing' or settled_through is null", name="settled_through"),
    )

    business_date: Mapped[date] = mapped_column(Date, primary_key=True)
    state: Mapped[str] = mapped_column(Text, server_default="open")
    zone: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[Moment]
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """From when on no fact counts on it."""
    settled_through: Mapped[UUID | None] = mapped_column(
        Uuid, comment="while it is closing: accounts up to this one are settled"
    )
    unread_at_close: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Events that were said but not yet read when the close would wait no longer."""
    opening_cents: Mapped[Cents] = mapped_column(server_default="0")
    """Sum of all workers' balances when the day began, and below when it was closed and paid."""
    closing_cents: Mapped[Cents] = mapped_column(server_default="0")
    fees_cents: Mapped[Cents] = mapped_column(server_default="0")
    rewards_cents: Mapped[Cents] = mapped_column(server_default="0")
    payouts_cents: Mapped[Cents] = mapped_column(server_default="0")
    payout_count: Mapped[int] = mapped_column(server_default="0")
    carried_debt_cents: Mapped[Cents] = mapped_column(server_default="0")
    accounts_negative: Mapped[int] = mapped_column(server_default="0")
    late_count: Mapped[int] = mapped_column(server_default="0")
    task_count_profit: Mapped[int] = mapped_column(server_default="0")
    task_count_deficit: Mapped[int] = mapped_column(server_default="0")
    max_cost_cents: Mapped[int | None] = mapped_column(BigInteger)
    max_cost_task_id: Mapped[UUID | None] = mapped_column(Uuid)


class UnsaidDay(Base):
    """A closed day that has something to say yet; the row goes when all of it is said."""

    __tablename__ = "unsaid_days"

    business_date: Mapped[date] = mapped_column(Date, ForeignKey("days.business_date"), primary_key=True)
    said_through: Mapped[UUID | None] = mapped_column(
        Uuid, comment="payouts of accounts up to this one are said"
    )


class LedgerState(Base):
    """One row. Who posts shares its lock, who cuts a day off holds it alone: nothing slips between them."""

    __tablename__ = "ledger_state"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    last_closed_date: Mapped[date | None] = mapped_column(Date)
    """No fact counts on this day or on one before it."""


class Payout(Base):
    __tablename__ = "payouts"
    __table_args__ = (
        CheckConstraint("amount_cents > 0", name="amount"),
        UniqueConstraint("business_date", "account_id", name="uq_payouts_business_date"),
    )

    id: Mapped[Id]
    account_id: Mapped[UUID]
    """That the journal says the same is checked for each statement, as it is cheaper than for each row."""
    business_date: Mapped[date]
    amount_cents: Mapped[Cents]
    paid_at: Mapped[Moment]


class Letter(Base):
    __tablename__ = "letters"
    __table_args__ = (
        CheckConstraint("state in ('queued', 'written')", name="state"),
        Index("ix_letters_queued", "payout_id", postgresql_where="state = 'queued'"),
    )

    payout_id: Mapped[Id]
    """Of a payout: checked for each statement."""
    state: Mapped[str] = mapped_column(Text, server_default="queued")
    locale: Mapped[str | None] = mapped_column(Text)
    """The language chosen when the letter was queued: a rewritten letter has the same bytes."""
    message_id: Mapped[str] = mapped_column(Text)
    """Made of the payout's id."""
    path: Mapped[str | None] = mapped_column(Text)
    """Inside the folder of letters, where there is one."""
    written_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When the folder or the mail server had it."""
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    """How often the mail server did not take it."""
    due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it is tried again, by the system's clock."""


class Seal(Base):
    """A block of the chain of hashes: a run of one account's postings, with the entries they belong to."""

    __tablename__ = "ledger_seals"
    __table_args__ = (
        UniqueConstraint("account_id", "first_version", name="uq_ledger_seals_account_id"),
        CheckConstraint("first_version <= last_version", name="versions"),
    )

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Counts from 1 without gaps."""
    account_id: Mapped[UUID] = mapped_column(Uuid)
    first_version: Mapped[int] = mapped_column(BigInteger)
    last_version: Mapped[int] = mapped_column(BigInteger)
    leaves: Mapped[bytes] = mapped_column(LargeBinary)
    """One hash for each entry, so that the one that was changed can be named."""
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    """`domain.seal_hash` of the block before and of this one."""
    sealed_at: Mapped[Moment]


LEAVES = text(
    """
    select c.version, e.id as entry_id, sha256(convert_to(jsonb_build_array(
        e.id, e.event_id, e.kind, e.task_id, e.cycle, e.business_date,
        (extract(epoch from e.occurred_at) * 1000000)::bigint,
        (extract(epoch from e.recorded_at) * 1000000)::bigint, e.late,
        (select jsonb_agg(jsonb_build_array(
            p.account_id, p.version, p.business_date, p.amount_cents, p.balance_after_cents
        ) order by p.account_id) from postings p where p.entry_id = e.id)
    )::text, 'UTF8')) as leaf
    from postings c join journal_entries e on e.id = c.entry_id
    where c.account_id = :account and c.version > :after and c.version <= :until
    order by c.version
    """
)
"""Entries in the order of one account's postings, each with the hash of all its bytes."""

FIGURES = (
    "fees_cents",
    "rewards_cents",
    "payouts_cents",
    "payout_count",
    "late_count",
    "task_count_profit",
    "task_count_deficit",
    "max_cost_cents",
    "max_cost_task_id",
)

day_figures = table("day_figures", column("business_date"), *(column(name) for name in FIGURES))
"""View: what the entries of each day add up to, as `domain.figures_of` says it."""

accounts: Table = LedgerAccount.__table__  # type: ignore[assignment]  # declared as FromClause
prices: Table = TaskPrice.__table__  # type: ignore[assignment]  # as above
titles: Table = TaskTitle.__table__  # type: ignore[assignment]  # as above
entries: Table = JournalEntry.__table__  # type: ignore[assignment]  # as above
postings: Table = Posting.__table__  # type: ignore[assignment]  # as above
days: Table = Day.__table__  # type: ignore[assignment]  # as above
unsaid_days: Table = UnsaidDay.__table__  # type: ignore[assignment]  # as above
ledger_state: Table = LedgerState.__table__  # type: ignore[assignment]  # as above
payouts: Table = Payout.__table__  # type: ignore[assignment]  # as above
seals: Table = Seal.__table__  # type: ignore[assignment]  # as above
letters: Table = Letter.__table__  # type: ignore[assignment]  # as above
