"""The function that pays out a day in one round trip; and the days whose result is still to be said."""

import sqlalchemy as sa
from alembic import op

from service_kit.migrating.grants import grant, service

revision = "billing_0005"
down_revision = "billing_0004"
branch_labels = None
depends_on = None

# Called under the exclusive lock of the ledger's state: nobody posts meanwhile. Both sides of an entry come
# with one statement, so that the checks of the journal see them together.
PAY_OUT = """
CREATE FUNCTION pay_out(
    day date, way_out uuid, paid_at timestamptz, at_moment timestamptz, letters_domain text,
    payout_ids uuid[], owners uuid[], amounts bigint[]
) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH due AS MATERIALIZED (
        SELECT d.id, d.owner, d.amount, a.locale,
               a.version + 1 AS version, a.balance_cents - d.amount AS after,
               w.version + d.ord AS way_out_version,
               w.balance_cents + sum(d.amount) OVER (ORDER BY d.ord) AS way_out_after
        FROM unnest(payout_ids, owners, amounts) WITH ORDINALITY AS d(id, owner, amount, ord)
        JOIN ledger_accounts a ON a.id = d.owner
        CROSS JOIN (SELECT balance_cents, version FROM ledger_accounts WHERE id = way_out) w
    ),
    journal AS (
        INSERT INTO journal_entries (id, event_id, kind, business_date, occurred_at, recorded_at, late)
        SELECT id, id, 'payout', day, paid_at, at_moment, false FROM due
    ),
    sides AS (
        INSERT INTO postings (
            account_id, version, entry_id, business_date, amount_cents, balance_after_cents
        )
        SELECT owner, version, id, day, -amount, after FROM due
        UNION ALL
        SELECT way_out, way_out_version, id, day, amount, way_out_after FROM due
    ),
    paid AS (
        INSERT INTO payouts (id, account_id, business_date, amount_cents, paid_at)
        SELECT id, owner, day, amount, pay_out.paid_at FROM due
    ),
    queued AS (
        INSERT INTO letters (payout_id, locale, message_id)
        SELECT id, locale, '<' || id || '@' || letters_domain || '>' FROM due
    ),
    cached AS (
        UPDATE ledger_accounts a SET balance_cents = n.after, version = n.version, carried_cents = 0
        FROM due n WHERE a.id = n.owner
    )
    UPDATE ledger_accounts a
    SET balance_cents = a.balance_cents + n.amount, version = a.version + n.payouts,
        carried_cents = a.carried_cents + n.amount
    FROM (SELECT sum(amount) AS amount, count(*) AS payouts FROM due) n
    WHERE a.id = way_out AND n.payouts > 0;
END $$
"""


def upgrade() -> None:
    op.execute(PAY_OUT)
    op.execute("REVOKE EXECUTE ON FUNCTION pay_out FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION pay_out TO {service()}_service")
    op.create_table(
        "unsaid_days",
        sa.Column("business_date", sa.Date),
        sa.Column("said_through", sa.Uuid, comment="payouts of accounts up to this one are said"),
        sa.PrimaryKeyConstraint("business_date", name="pk_unsaid_days"),
        sa.ForeignKeyConstraint(
            ["business_date"], ["days.business_date"], name="fk_unsaid_days_business_date_days"
        ),
    )
    grant("unsaid_days", "SELECT, INSERT, UPDATE, DELETE")
