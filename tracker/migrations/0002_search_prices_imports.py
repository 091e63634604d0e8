"""What tasks are found by, their prices, saved filters, imports."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

from service_kit.migrating.grants import grant

revision = "tracker_0002"
down_revision = "tracker_0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("tasks", sa.Column("fee_cents", sa.BigInteger))
    op.add_column("tasks", sa.Column("reward_cents", sa.BigInteger))
    op.create_index(
        "ix_task_history_distribution_id_assignee_id",
        "task_history",
        ["distribution_id", "assignee_id"],
        postgresql_where=sa.text("distribution_id IS NOT NULL"),
    )

    op.create_table(
        "task_search",
        sa.Column(
            "task_id",
            sa.Uuid,
            sa.ForeignKey("tasks.id", name="fk_task_search_task_id_tasks"),
            primary_key=True,
        ),
        sa.Column("jira_id", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("document", TSVECTOR, nullable=False),
    )
    op.execute(
        "INSERT INTO task_search SELECT id, jira_id, created_at,"
        " to_tsvector('russian', title || ' ' || description) FROM tasks"
    )
    op.create_index("ix_task_search_document", "task_search", ["document"], postgresql_using="gin")
    op.create_index(
        "ix_task_search_jira_id", "task_search", ["jira_id"], postgresql_ops={"jira_id": "text_pattern_ops"}
    )
    op.create_index("ix_task_search_created_at", "task_search", ["created_at"])
    grant("task_search", "SELECT, INSERT, UPDATE")

    op.create_table(
        "saved_filters",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.UniqueConstraint("account_id", "name", name="uq_saved_filters_account_id"),
    )
    grant("saved_filters", "SELECT, INSERT, UPDATE, DELETE")

    op.create_table(
        "task_imports",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Uuid, nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.Column("rows_total", sa.Integer, nullable=False),
        sa.Column("rows_done", sa.Integer, nullable=False),
        sa.Column("rows", JSONB),
        sa.Column("correlation_id", sa.Text),
        sa.CheckConstraint("status IN ('waiting', 'done', 'failed')", name="ck_task_imports_status"),
        sa.CheckConstraint("(status = 'waiting') = (rows IS NOT NULL)", name="ck_task_imports_rows"),
    )
    op.create_index(
        "ix_task_imports_waiting", "task_imports", ["id"], postgresql_where=sa.text("status = 'waiting'")
    )
    grant("task_imports", "SELECT, INSERT, UPDATE")
