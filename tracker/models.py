"""Tables of the tracker."""

from typing import Annotated
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, MetaData, Text, Uuid, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service_kit.database import NAMING, Id, Moment
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
    version: Mapped[int]
    """Edition of the text. Assigning and completing leave it alone, so that a distribution spoils no edit."""


class TaskHistory(Base):
    """What happened to a task; rows are only ever added."""

    __tablename__ = "task_history"
    __table_args__ = (
        CheckConstraint("kind IN ('created', 'assigned', 'updated', 'completed')", name="kind"),
        Index("ix_task_history_task_id_id", "task_id", "id"),
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
    cursor: Mapped[UUID | None] = mapped_column(Uuid)
    """The last task that was dealt with; a run that was killed goes on behind it."""
    correlation_id: Mapped[str | None] = mapped_column(Text)
    """Of the press, so that each assignment can be traced to it."""
