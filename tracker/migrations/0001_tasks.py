"""Accounts, tasks, their history and distributions."""

import sqlalchemy as sa
from alembic import op

from service_kit.migrating.grants import append_only, grant

revision = "tracker_0001"
down_revision = None
branch_labels = ("tracker",)
depends_on = None

ELIGIBLE = "active AND role NOT IN ('admin', 'client', 'manager')"


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("role", sa.Text),
        sa.Column("role_changed_at", sa.DateTime(timezone=True)),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("active_changed_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_accounts_eligible", "accounts", ["id"], postgresql_where=sa.text(ELIGIBLE))
    grant("accounts", "SELECT, INSERT, UPDATE")

    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("jira_id", sa.Text),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("assignee_id", sa.Uuid, nullable=False),
        sa.Column("cycle", sa.Integer, nullable=False),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.CheckConstraint("status IN ('open', 'done')", name="ck_tasks_status"),
        sa.CheckConstraint("(status = 'done') = (completed_at IS NOT NULL)", name="ck_tasks_completed"),
        sa.CheckConstraint("cycle >= 1", name="ck_tasks_cycle"),
    )
    op.create_index("ix_tasks_status_id", "tasks", ["status", "id"])
    op.create_index("ix_tasks_assignee_id_status_id", "tasks", ["assignee_id", "status", "id"])
    op.create_index(
        "ix_tasks_assignee_id_completed_at",
        "tasks",
        ["assignee_id", "completed_at"],
        postgresql_where=sa.text("status = 'done'"),
    )
    grant("tasks", "SELECT, INSERT, UPDATE")

    op.create_table(
        "task_history",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "task_id",
            sa.Uuid,
            sa.ForeignKey("tasks.id", name="fk_task_history_task_id_tasks"),
            nullable=False,
        ),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("cycle", sa.Integer, nullable=False),
        sa.Column("actor_id", sa.Uuid, nullable=False),
        sa.Column("assignee_id", sa.Uuid, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("distribution_id", sa.Uuid),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('created', 'assigned', 'updated', 'completed')", name="ck_task_history_kind"
        ),
    )
    op.create_index("ix_task_history_task_id_id", "task_history", ["task_id", "id"])
    grant("task_history", "SELECT, INSERT")
    append_only("task_history")

    op.create_table(
        "distributions",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Uuid, nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("tasks_total", sa.Integer, nullable=False),
        sa.Column("tasks_assigned", sa.Integer, nullable=False),
        sa.Column("cursor", sa.Uuid),
        sa.Column("correlation_id", sa.Text),
        sa.CheckConstraint("status IN ('running', 'done')", name="ck_distributions_status"),
        sa.CheckConstraint("(status = 'done') = (finished_at IS NOT NULL)", name="ck_distributions_finished"),
    )
    op.create_index(
        "uq_distributions_running",
        "distributions",
        ["status"],
        unique=True,
        postgresql_where=sa.text("status = 'running'"),
    )
    grant("distributions", "SELECT, INSERT, UPDATE")
