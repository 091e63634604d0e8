"""Accounts, prices, journal, days, payouts and letters."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op

from service_kit.migrating.grants import append_only, grant

revision = "billing_0001"
down_revision = None
branch_labels = ("billing",)
depends_on = None

MOMENT = sa.DateTime(timezone=True)
CENTS = sa.BigInteger

# The ids of domain.COMPANY and domain.PAYOUTS. A migration keeps its own copy, which never changes.
COMPANY = UUID("2cf0fff6-0108-5760-9283-f26aa110dfa1")
PAYOUTS = UUID("af39c11b-9f99-593b-af4b-a689e23a4078")

# The entry is looked up by a subquery of its own for each group: joined as a set, the planner, which knows
# nothing of transition tables, may walk through the whole day's entries for each posting.
ENTRIES_BALANCE = """
CREATE FUNCTION refuse_unbalanced_entries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE bad uuid;
BEGIN
    SELECT entry_id INTO bad
    FROM (
        SELECT entry_id, sum(amount_cents) AS total, count(*) AS sides,
               min(business_date) AS first_date, max(business_date) AS last_date
        FROM new_postings
        GROUP BY entry_id
    ) n
    WHERE n.total <> 0 OR n.sides < 2 OR n.first_date <> n.last_date
       OR n.first_date IS DISTINCT FROM
          (SELECT e.business_date FROM journal_entries e WHERE e.id = n.entry_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % does not balance', bad USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$
"""

CLOSED_DAYS_STAY = """
CREATE FUNCTION refuse_entries_of_closed_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM new_entries n, ledger_state s WHERE n.business_date <= s.last_closed_date) THEN
        RAISE EXCEPTION 'an entry is dated on a closed day' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$
"""

CLOSED_DAY_IS_FINAL = """
CREATE FUNCTION refuse_change_of_closed_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.state = 'closed' THEN
        RAISE EXCEPTION 'day % is on record', OLD.business_date USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""

DAY_FIGURES = """
CREATE VIEW day_figures AS
SELECT business_date,
       sum(fees)::bigint AS fees_cents,
       sum(rewards)::bigint AS rewards_cents,
       sum(payouts)::bigint AS payouts_cents,
       sum(payout_count)::integer AS payout_count,
       sum(late_count)::integer AS late_count,
       count(*) FILTER (WHERE task_id IS NOT NULL AND fees > rewards)::integer AS task_count_profit,
       count(*) FILTER (WHERE task_id IS NOT NULL AND fees < rewards)::integer AS task_count_deficit,
       nullif(max(dearest), 0)::bigint AS max_cost_cents,
       (array_agg(task_id ORDER BY dearest DESC, task_id) FILTER (WHERE dearest > 0))[1] AS max_cost_task_id
FROM (
    SELECT e.business_date,
           e.task_id,
           coalesce(sum(-p.amount_cents) FILTER (WHERE e.kind = 'fee'), 0) AS fees,
           coalesce(sum(p.amount_cents) FILTER (WHERE e.kind = 'reward'), 0) AS rewards,
           coalesce(sum(-p.amount_cents) FILTER (WHERE e.kind = 'payout'), 0) AS payouts,
           count(*) FILTER (WHERE e.kind = 'payout') AS payout_count,
           count(*) FILTER (WHERE e.late) AS late_count,
           coalesce(max(p.amount_cents) FILTER (WHERE e.kind = 'reward'), 0) AS dearest
    FROM journal_entries e
    JOIN postings p ON p.entry_id = e.id
    JOIN ledger_accounts a ON a.id = p.account_id AND a.kind = 'worker'
    GROUP BY e.business_date, e.task_id
) AS of_task
GROUP BY business_date
"""


def upgrade() -> None:
    _accounts()
    _tasks()
    _journal()
    _days()
    op.execute(DAY_FIGURES)
    grant("day_figures", "SELECT")


def _accounts() -> None:
    made = op.create_table(
        "ledger_accounts",
        sa.Column("id", sa.Uuid),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("balance_cents", CENTS, nullable=False, server_default="0"),
        sa.Column("carried_cents", CENTS, nullable=False, server_default="0"),
        sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("locale", sa.Text),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_accounts"),
        sa.CheckConstraint("kind in ('worker', 'company', 'payouts')", name="ck_ledger_accounts_kind"),
    )
    op.create_index(
        "ix_ledger_accounts_workers_by_balance",
        "ledger_accounts",
        ["balance_cents", "id"],
        postgresql_where=sa.text("kind = 'worker'"),
    )
    grant("ledger_accounts", "SELECT, INSERT, UPDATE")
    op.bulk_insert(
        made,
        [
            {"id": COMPANY, "kind": "company", "opened_at": datetime.now(UTC)},
            {"id": PAYOUTS, "kind": "payouts", "opened_at": datetime.now(UTC)},
        ],
    )


def _tasks() -> None:
    op.create_table(
        "task_prices",
        sa.Column("task_id", sa.Uuid),
        sa.Column("fee_cents", CENTS, nullable=False),
        sa.Column("reward_cents", CENTS, nullable=False),
        sa.Column("priced_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="pk_task_prices"),
    )
    grant("task_prices", "SELECT, INSERT")
    append_only("task_prices")
    op.create_table(
        "task_titles",
        sa.Column("task_id", sa.Uuid),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("jira_id", sa.Text),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="pk_task_titles"),
    )
    grant("task_titles", "SELECT, INSERT, UPDATE")


def _journal() -> None:
    op.create_table(
        "journal_entries",
        sa.Column("id", sa.Uuid),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("task_id", sa.Uuid),
        sa.Column("cycle", sa.Integer),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_journal_entries"),
        sa.UniqueConstraint("event_id", name="uq_journal_entries_event_id"),
        sa.CheckConstraint("kind in ('fee', 'reward', 'payout')", name="ck_journal_entries_kind"),
        sa.CheckConstraint("(kind = 'payout') = (task_id is null)", name="ck_journal_entries_task"),
    )
    op.create_index(
        "uq_journal_entries_fee",
        "journal_entries",
        ["task_id", "cycle"],
        unique=True,
        postgresql_where=sa.text("kind = 'fee'"),
    )
    op.create_index(
        "uq_journal_entries_reward",
        "journal_entries",
        ["task_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'reward'"),
    )
    op.create_index("ix_journal_entries_business_date", "journal_entries", ["business_date"])
    op.create_index(
        "ix_journal_entries_late", "journal_entries", ["business_date"], postgresql_where=sa.text("late")
    )
    grant("journal_entries", "SELECT, INSERT")
    append_only("journal_entries")
    op.create_table(
        "postings",
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("entry_id", sa.Uuid, nullable=False),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("amount_cents", CENTS, nullable=False),
        sa.Column("balance_after_cents", CENTS, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "version", name="pk_postings"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["ledger_accounts.id"], name="fk_postings_account_id_ledger_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["journal_entries.id"], name="fk_postings_entry_id_journal_entries"
        ),
        sa.UniqueConstraint("entry_id", "account_id", name="uq_postings_entry_id"),
        sa.CheckConstraint("amount_cents <> 0", name="ck_postings_amount"),
    )
    op.create_index("ix_postings_day", "postings", ["business_date", "account_id"])
    grant("postings", "SELECT, INSERT")
    append_only("postings")
    op.execute(ENTRIES_BALANCE)
    op.execute(
        "CREATE TRIGGER postings_balance AFTER INSERT ON postings REFERENCING NEW TABLE AS new_postings"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced_entries()"
    )


def _counter(name: str, kind: type[sa.Integer]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default="0")


def _days() -> None:
    op.create_table(
        "days",
        sa.Column("business_date", sa.Date),
        sa.Column("state", sa.Text, nullable=False, server_default="open"),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT),
        _counter("unread_at_close", sa.BigInteger),
        _counter("opening_cents", CENTS),
        _counter("closing_cents", CENTS),
        _counter("fees_cents", CENTS),
        _counter("rewards_cents", CENTS),
        _counter("payouts_cents", CENTS),
        _counter("payout_count", sa.Integer),
        _counter("carried_debt_cents", CENTS),
        _counter("accounts_negative", sa.Integer),
        _counter("late_count", sa.Integer),
        _counter("task_count_profit", sa.Integer),
        _counter("task_count_deficit", sa.Integer),
        sa.Column("max_cost_cents", CENTS),
        sa.Column("max_cost_task_id", sa.Uuid),
        sa.PrimaryKeyConstraint("business_date", name="pk_days"),
        sa.CheckConstraint("state in ('open', 'closed')", name="ck_days_state"),
        sa.CheckConstraint("(state = 'closed') = (closed_at is not null)", name="ck_days_closed_at"),
    )
    grant("days", "SELECT, INSERT, UPDATE")
    op.execute(CLOSED_DAY_IS_FINAL)
    op.execute(
        "CREATE TRIGGER days_final BEFORE UPDATE OR DELETE ON days"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change_of_closed_day()"
    )
    op.create_table(
        "ledger_state",
        sa.Column("id", sa.SmallInteger, autoincrement=False),
        sa.Column("last_closed_date", sa.Date),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_state"),
        sa.CheckConstraint("id = 1", name="ck_ledger_state_one_row"),
    )
    op.execute("INSERT INTO ledger_state (id) VALUES (1)")
    grant("ledger_state", "SELECT, UPDATE")
    op.execute(CLOSED_DAYS_STAY)
    op.execute(
        "CREATE TRIGGER journal_entries_open_days AFTER INSERT ON journal_entries"
        " REFERENCING NEW TABLE AS new_entries"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_entries_of_closed_days()"
    )
    op.create_table(
        "payouts",
        sa.Column("id", sa.Uuid),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("amount_cents", CENTS, nullable=False),
        sa.Column("paid_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payouts"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["ledger_accounts.id"], name="fk_payouts_account_id_ledger_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["business_date"], ["days.business_date"], name="fk_payouts_business_date_days"
        ),
        sa.UniqueConstraint("business_date", "account_id", name="uq_payouts_business_date"),
        sa.CheckConstraint("amount_cents > 0", name="ck_payouts_amount"),
    )
    grant("payouts", "SELECT, INSERT")
    append_only("payouts")
    op.create_table(
        "letters",
        sa.Column("payout_id", sa.Uuid),
        sa.Column("state", sa.Text, nullable=False, server_default="queued"),
        sa.Column("locale", sa.Text),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("written_at", MOMENT),
        sa.PrimaryKeyConstraint("payout_id", name="pk_letters"),
        sa.ForeignKeyConstraint(["payout_id"], ["payouts.id"], name="fk_letters_payout_id_payouts"),
        sa.UniqueConstraint("message_id", name="uq_letters_message_id"),
        sa.CheckConstraint("state in ('queued', 'written')", name="ck_letters_state"),
    )
    op.create_index(
        "ix_letters_queued", "letters", ["payout_id"], postgresql_where=sa.text("state = 'queued'")
    )
    grant("letters", "SELECT, INSERT, UPDATE")
