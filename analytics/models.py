"""Tables: the raw log, which only grows, and the views, which are sums over it."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, MetaData, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service_kit.database import NAMING, Cents, Id, Moment


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class RawEvent(Base):
    """One event as it was heard. INSERT and SELECT only, by role and by trigger."""

    __tablename__ = "raw_events"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    topic: Mapped[str] = mapped_column(Text)
    partition: Mapped[int]
    offset: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[Moment] = mapped_column(index=True)
    """Business time, as the producer told it."""

    sent_at: Mapped[Moment]
    """System time at which the producer's relay gave it to the broker."""

    received_at: Mapped[Moment] = mapped_column(server_default=text("clock_timestamp()"))
    """System time of this row; the distance to `sent_at` is the lag."""

    correlation_id: Mapped[str | None] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)

    __table_args__ = (Index(None, "topic", "name", "occurred_at"),)


class DayFigures(Base):
    """Sums over the ledger entries of one business day, as they come in."""

    __tablename__ = "day_figures"

    business_date: Mapped[date] = mapped_column(primary_key=True)
    fees_cents: Mapped[Cents]
    rewards_cents: Mapped[Cents]
    payouts_cents: Mapped[Cents]
    fee_count: Mapped[int]
    reward_count: Mapped[int]
    payout_count: Mapped[int]
    late_count: Mapped[int]


class TaskDay(Base):
    """What one task brought and cost the company on one business day."""

    __tablename__ = "task_days"

    business_date: Mapped[date] = mapped_column(primary_key=True)
    task_id: Mapped[Id]
    fees_cents: Mapped[Cents]
    reward_cents: Mapped[Cents]

    __table_args__ = (Index(None, "business_date", text("reward_cents DESC"), "task_id"),)


class Task(Base):
    """What a task is called."""

    __tablename__ = "tasks"

    task_id: Mapped[Id]
    title: Mapped[str] = mapped_column(Text)
    jira_id: Mapped[str | None] = mapped_column(Text)
    title_stamp: Mapped[str] = mapped_column(Text(collation="C"))
    """See `domain.stamp`: of two titles the one with the greater stamp holds."""


class Account(Base):
    """Running balance of one account, and what was last said of it."""

    __tablename__ = "accounts"

    user_guid: Mapped[Id]
    balance_cents: Mapped[Cents]
    entry_count: Mapped[int]
    role: Mapped[str | None] = mapped_column(Text)
    """Absent while only the ledger has spoken of the account."""

    role_stamp: Mapped[str] = mapped_column(Text(collation="C"))
    active: Mapped[bool | None]
    active_stamp: Mapped[str] = mapped_column(Text(collation="C"))

    __table_args__ = (
        Index("ix_accounts_below_zero", "balance_cents", postgresql_where=text("balance_cents < 0")),
    )


class DayResult(Base):
    """A day as billing closed it."""

    __tablename__ = "day_results"

    business_date: Mapped[date] = mapped_column(primary_key=True)
    time_zone: Mapped[str] = mapped_column(Text)
    income_cents: Mapped[Cents]
    max_cost_task_cents: Mapped[Cents | None]
    max_cost_task_id: Mapped[UUID | None]
    task_count_profit: Mapped[int]
    task_count_deficit: Mapped[int]
    fees_cents: Mapped[Cents]
    rewards_cents: Mapped[Cents]
    payouts_cents: Mapped[Cents]
    payout_count: Mapped[int]
    carried_debt_cents: Mapped[Cents]
    accounts_negative: Mapped[int]
    late_count: Mapped[int]
    closed_at: Mapped[Moment]
    result_stamp: Mapped[str] = mapped_column(Text(collation="C"))


TABLES = Base.metadata.tables

VIEWS = (DayFigures, TaskDay, Task, Account, DayResult)
"""Tables that hold nothing but what the fold over the raw log gives."""
