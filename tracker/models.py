"""Tables of the tracker."""

from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service_kit.database import NAMING, Cents, Id, Moment
from tracker.domain import NEVER_ASSIGNED

ELIGIBLE = text(f"active AND role NOT IN {NEVER_ASSIGNED}")
"""Accounts that may get tasks, in the words of their index: parameters would hide it from the planner."""


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


AccountRef = Annotated[UUID, mapped_column(Uuid)]
"""A guid of auth_service. No foreign key: its facts may arrive after the work of the account."""


class Account(Base):
    """What the tracker needs to know of an account; auth_service owns the rest."""

    __tablename__ = "accounts"
    __table_args__ = (
        Index(
            "ix_accounts_eligible",
            "id",
            postgresql_where=ELIGIBLE,
        ),
    )

    id: Mapped[Id]
    role: Mapped[str | None] = mapped_column(Text)
    """None while only a block of this account has been heard of; such an account gets no tasks."""
    role_changed_at: Mapped[Moment | None]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    active_changed_at: Mapped[Moment | None]


class Task(Base):
    """One piece of work. It always has an assignee (T5f)."""

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint("status IN ('open', 'done')", name="status"),
        CheckConstraint("(status = 'done') = (completed_at IS NOT NULL)", name="completed"),
        CheckConstraint("cycle >= 1", name="cycle"),
        # Every list is read by id, newest first, under at most one of these.
        Index("ix_tasks_status_id", "status", "id"),
        Index("ix_tasks_assignee_id_status_id", "assignee_id", "status", "id"),
        Index(
            "ix_tasks_assignee_id_completed_at",
            "assignee_id",
            "completed_at",
            postgresql_where=text("status = 'done'"),
        ),
    )

    id: Mapped[Id]
    title: Mapped[str] = mapped_column(Text)
    jira_id: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    assignee_id: Mapped[AccountRef]
    cycle: Mapped[int]
    """How many times the task has been assigned."""
    assigned_at: Mapped[Moment]
    created_by: Mapped[AccountRef]
    created_at: Mapped[Moment]
    completed_at: Mapped[Moment | None]
    fee_cents: Mapped[Cents | None]
    """What each assignment costs its worker; None until billing has said it."""
    reward_cents: Mapped[Cents | None]
    version: Mapped[int]
    """Edition of the text. Assigning and completing leave it alone, so that a distribution spoils no edit."""


class TaskSearch(Base):
    """What a task is found by. Apart from the task, so that assigning a million of them touches no word."""

    __tablename__ = "task_search"
    __table_args__ = (
        Index("ix_task_search_document", "document", postgresql_using="gin"),
        Index("ix_task_search_jira_id", "jira_id", postgresql_ops={"jira_id": "text_pattern_ops"}),
        Index("ix_task_search_created_at", "created_at"),
    )

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    jira_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Moment]
    document: Mapped[str] = mapped_column(TSVECTOR)
    """Title and description in their ground forms, Russian and English words alike."""


class TaskHistory(Base):
    """What happened to a task; rows are only ever added."""

    __tablename__ = "task_history"
    __table_args__ = (
        CheckConstraint("kind IN ('created', 'assigned', 'updated', 'completed')", name="kind"),
        Index("ix_task_history_task_id_id", "task_id", "id"),
        # Who got how many of one distribution.
        Index(
            "ix_task_history_distribution_id_assignee_id",
            "distribution_id",
            "assignee_id",
            postgresql_where=text("distribution_id IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id"))
    kind: Mapped[str] = mapped_column(Text)
    cycle: Mapped[int]
    actor_id: Mapped[AccountRef]
    assignee_id: Mapped[AccountRef]
    reason: Mapped[str | None] = mapped_column(Text)
    distribution_id: Mapped[UUID | None] = mapped_column(Uuid)
    occurred_at: Mapped[Moment]


class Distribution(Base):
    """One press of Distribute: all tasks that were open then, each drawn a new assignee.

    The tasks of a run are those with an id before its own: ids sort by time, so tasks created after the press
    (and assigned at random just then) stay out of it.
    """

    __tablename__ = "distributions"
    __table_args__ = (
        CheckConstraint("status IN ('running', 'done')", name="status"),
        CheckConstraint("(status = 'done') = (finished_at IS NOT NULL)", name="finished"),
        Index("uq_distributions_running", "status", unique=True, postgresql_where=text("status = 'running'")),
    )

    id: Mapped[Id]
    status: Mapped[str] = mapped_column(Text)
    requested_by: Mapped[AccountRef]
    requested_at: Mapped[Moment]
    finished_at: Mapped[Moment | None]
    tasks_total: Mapped[int] = mapped_column(Integer)
    """Open tasks at the press; some may be completed before the run comes to them."""
    tasks_assigned: Mapped[int] = mapped_column(Integer)
    cut_upto: Mapped[UUID | None] = mapped_column(Uuid)
    """How far its tasks have been cut into parts; the run's own id when all of them have."""
    correlation_id: Mapped[str | None] = mapped_column(Text)
    """Of the press, so that each assignment can be traced to it."""


class DistributionPart(Base):
    """A stretch of tasks that nobody has dealt yet; it goes in the transaction of their assignments."""

    __tablename__ = "distribution_parts"

    distribution_id: Mapped[UUID] = mapped_column(ForeignKey("distributions.id"), primary_key=True)
    first_task_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    until_task_id: Mapped[UUID] = mapped_column(Uuid)
    """The first task behind it."""


class SavedFilter(Base):
    """A list somebody comes back to, under a name of their own."""

    __tablename__ = "saved_filters"
    __table_args__ = (UniqueConstraint("account_id", "name"),)

    id: Mapped[Id]
    account_id: Mapped[AccountRef]
    name: Mapped[str] = mapped_column(Text)
    query: Mapped[str] = mapped_column(Text)
    """The filters as they stand in the address."""


class TaskImport(Base):
    """One file of tasks: checked as a whole before it was taken, created as a whole or not at all."""

    __tablename__ = "task_imports"
    __table_args__ = (
        CheckConstraint("status IN ('waiting', 'done', 'failed')", name="status"),
        CheckConstraint("(status = 'waiting') = (rows IS NOT NULL)", name="rows"),
        Index("ix_task_imports_waiting", "id", postgresql_where=text("status = 'waiting'")),
    )

    id: Mapped[Id]
    status: Mapped[str] = mapped_column(Text)
    requested_by: Mapped[AccountRef]
    requested_at: Mapped[Moment]
    finished_at: Mapped[Moment | None]
    rows_total: Mapped[int]
    rows_done: Mapped[int]
    """How far the run is; nothing of it is visible as a task before all of it is."""
    rows: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    """Texts of the tasks, until they are created: `{"title", "jira_id", "description"}`."""
    correlation_id: Mapped[str | None] = mapped_column(Text)
