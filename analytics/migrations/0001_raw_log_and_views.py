"""The raw event log and the views over it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from service_kit.migrating.grants import append_only, grant, service

revision = "analytics_0001"
down_revision = None
branch_labels = ("analytics",)
depends_on = None

MOMENT = sa.DateTime(timezone=True)
STAMP = sa.Text(collation="C")


def upgrade() -> None:
    _raw_log()
    _ledger_views()
    _task_and_account_views()
    _day_results()
    for view in ("day_figures", "task_days", "tasks", "accounts", "day_results"):
        grant(view, "SELECT, INSERT, UPDATE, DELETE")
    # A rebuild folds the log into temporary tables, which are refused to everybody by default.
    op.execute(
        f"""
        DO $$ BEGIN
            EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO {service()}_service', current_database());
        END $$
        """
    )


def _raw_log() -> None:
    op.create_table(
        "raw_events",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True)),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.Column("correlation_id", sa.Text),
        sa.Column("data", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_raw_events"),
        sa.UniqueConstraint("event_id", name="uq_raw_events_event_id"),
    )
    op.create_index("ix_raw_events_topic", "raw_events", ["topic", "name", "occurred_at"])
    op.create_index("ix_raw_events_occurred_at", "raw_events", ["occurred_at"])
    append_only("raw_events")
    grant("raw_events", "SELECT, INSERT")


def _ledger_views() -> None:
    op.create_table(
        "day_figures",
        sa.Column("business_date", sa.Date),
        sa.Column("fees_cents", sa.BigInteger, nullable=False),
        sa.Column("rewards_cents", sa.BigInteger, nullable=False),
        sa.Column("payouts_cents", sa.BigInteger, nullable=False),
        sa.Column("fee_count", sa.Integer, nullable=False),
        sa.Column("reward_count", sa.Integer, nullable=False),
        sa.Column("payout_count", sa.Integer, nullable=False),
        sa.Column("late_count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("business_date", name="pk_day_figures"),
    )
    op.create_table(
        "task_days",
        sa.Column("business_date", sa.Date),
        sa.Column("task_id", sa.Uuid),
        sa.Column("fees_cents", sa.BigInteger, nullable=False),
        sa.Column("reward_cents", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("business_date", "task_id", name="pk_task_days"),
    )
    op.create_index(
        "ix_task_days_business_date", "task_days", ["business_date", sa.text("reward_cents DESC"), "task_id"]
    )


def _task_and_account_views() -> None:
    op.create_table(
        "tasks",
        sa.Column("task_id", sa.Uuid),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("jira_id", sa.Text),
        sa.Column("title_stamp", STAMP, nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="pk_tasks"),
    )
    op.create_table(
        "accounts",
        sa.Column("user_guid", sa.Uuid),
        sa.Column("balance_cents", sa.BigInteger, nullable=False),
        sa.Column("entry_count", sa.Integer, nullable=False),
        sa.Column("role", sa.Text),
        sa.Column("role_stamp", STAMP, nullable=False),
        sa.Column("active", sa.Boolean),
        sa.Column("active_stamp", STAMP, nullable=False),
        sa.PrimaryKeyConstraint("user_guid", name="pk_accounts"),
    )
    op.create_index(
        "ix_accounts_below_zero", "accounts", ["balance_cents"], postgresql_where=sa.text("balance_cents < 0")
    )


def _day_results() -> None:
    op.create_table(
        "day_results",
        sa.Column("business_date", sa.Date),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("income_cents", sa.BigInteger, nullable=False),
        sa.Column("max_cost_task_cents", sa.BigInteger),
        sa.Column("max_cost_task_id", sa.Uuid),
        sa.Column("task_count_profit", sa.Integer, nullable=False),
        sa.Column("task_count_deficit", sa.Integer, nullable=False),
        sa.Column("fees_cents", sa.BigInteger, nullable=False),
        sa.Column("rewards_cents", sa.BigInteger, nullable=False),
        sa.Column("payouts_cents", sa.BigInteger, nullable=False),
        sa.Column("payout_count", sa.Integer, nullable=False),
        sa.Column("carried_debt_cents", sa.BigInteger, nullable=False),
        sa.Column("accounts_negative", sa.Integer, nullable=False),
        sa.Column("late_count", sa.Integer, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=False),
        sa.Column("result_stamp", STAMP, nullable=False),
        sa.PrimaryKeyConstraint("business_date", name="pk_day_results"),
    )
