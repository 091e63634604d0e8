"""A day is cut off at once and settled in parts: until it is closed, payouts alone are still dated on it.

The function that pays out and the view of figures are those of billing_0005 and billing_0001 but for what is
said with them.
"""

import sqlalchemy as sa
from alembic import op

revision = "billing_0009"
down_revision = "billing_0008"
branch_labels = None
depends_on = None

CLOSED_DAYS_STAY = """
CREATE OR REPLACE FUNCTION refuse_entries_of_closed_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM new_entries n, ledger_state s
        WHERE n.business_date <= s.last_closed_date
          AND (n.kind <> 'payout' OR NOT EXISTS (
              SELECT FROM days d WHERE d.business_date = n.business_date AND d.state = 'closing'
          ))
    ) THEN
        RAISE EXCEPTION 'an entry is dated on a closed day' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$
"""

# Owners come in the order of their ids. The bounds say nothing new, but let a part read its own accounts and
# not the whole table.
PAY_OUT = """
CREATE OR REPLACE FUNCTION pay_out(
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
        JOIN ledger_accounts a ON a.id = d.owner AND a.id BETWEEN owners[1] AND owners[cardinality(owners)]
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
        FROM due n WHERE a.id = n.owner AND a.id BETWEEN owners[1] AND owners[cardinality(owners)]
    )
    UPDATE ledger_accounts a
    SET balance_cents = a.balance_cents + n.amount, version = a.version + n.payouts,
        carried_cents = a.carried_cents + n.amount
    FROM (SELECT sum(amount) AS amount, count(*) AS payouts FROM due) n
    WHERE a.id = way_out AND n.payouts > 0;
END $$
"""

# As in billing_0001, and with the day of the postings: that it is the entry's is checked when they are
# written, and with it the day's postings are found by their index.
DAY_FIGURES = """
CREATE OR REPLACE VIEW day_figures AS
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
    JOIN postings p ON p.entry_id = e.id AND p.business_date = e.business_date
    JOIN ledger_accounts a ON a.id = p.account_id AND a.kind = 'worker'
    GROUP BY e.business_date, e.task_id
) AS of_task
GROUP BY business_date
"""


def upgrade() -> None:
    op.add_column(
        "days",
        sa.Column(
            "settled_through", sa.Uuid, comment="while it is closing: accounts up to this one are settled"
        ),
    )
    op.drop_constraint("ck_days_state", "days")
    op.drop_constraint("ck_days_closed_at", "days")
    for name, condition in (
        ("ck_days_state", "state in ('open', 'closing', 'closed')"),
        ("ck_days_closed_at", "(state = 'open') = (closed_at is null)"),
        ("ck_days_settled_through", "state = 'closing' or settled_through is null"),
    ):
        op.create_check_constraint(name, "days", condition)
    op.execute(CLOSED_DAYS_STAY)
    op.execute(PAY_OUT)
    op.execute(DAY_FIGURES)
