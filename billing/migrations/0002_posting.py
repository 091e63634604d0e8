"""The function that posts a batch of facts in one round trip (see decision 0011)."""

from alembic import op

from service_kit.migrating.grants import service

revision = "billing_0002"
down_revision = "billing_0001"
branch_labels = None
depends_on = None

# The lock is a statement of its own, so that the statement after it reads what the last holder committed.
# The amounts are settled before anything is inserted: no join back to rows that this statement writes.
POST_ENTRIES = """
CREATE FUNCTION post_entries(
    company uuid, at_moment timestamptz,
    event_ids uuid[], entry_ids uuid[], kinds text[], task_ids uuid[], cycles integer[], workers uuid[],
    moments timestamptz[], own_dates date[], day_zone text, day_dates date[], day_starts timestamptz[]
) RETURNS TABLE (entry uuid, amount bigint, balance_after bigint, posted_on date, came_late boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    closed date;
BEGIN
    SELECT last_closed_date INTO closed FROM ledger_state FOR SHARE;
    INSERT INTO ledger_accounts (id, kind, opened_at)
        SELECT worker, 'worker', at_moment FROM (SELECT DISTINCT unnest(workers) AS worker) w ORDER BY worker
        ON CONFLICT DO NOTHING;
    PERFORM FROM ledger_accounts WHERE id = ANY (workers || company) ORDER BY id FOR UPDATE;
    INSERT INTO days (business_date, zone, opened_at)
        SELECT day, day_zone, start FROM unnest(day_dates, day_starts) AS d(day, start)
        WHERE closed IS NULL OR day > closed ORDER BY day
        ON CONFLICT DO NOTHING;
    RETURN QUERY
    WITH chained AS MATERIALIZED (
        SELECT f.*,
               a.version + row_number() OVER own AS worker_version,
               a.balance_cents + sum(f.amount) OVER own AS worker_after,
               c.version + row_number() OVER (ORDER BY f.ord) AS company_version,
               c.balance_cents - sum(f.amount) OVER (ORDER BY f.ord) AS company_after
        FROM (
            SELECT g.ord, g.event_id, g.entry_id, g.kind, g.task_id, g.cycle, g.worker, g.moment,
                   CASE WHEN g.own_date <= closed THEN closed + 1 ELSE g.own_date END AS posted_on,
                   coalesce(g.own_date <= closed, false) AS late,
                   CASE g.kind WHEN 'fee' THEN -p.fee_cents WHEN 'reward' THEN p.reward_cents END AS amount
            FROM unnest(event_ids, entry_ids, kinds, task_ids, cycles, workers, moments, own_dates)
                WITH ORDINALITY AS g(event_id, entry_id, kind, task_id, cycle, worker, moment, own_date, ord)
            JOIN task_prices p ON p.task_id = g.task_id
        ) f
        JOIN ledger_accounts a ON a.id = f.worker
        CROSS JOIN (SELECT balance_cents, version FROM ledger_accounts WHERE id = company) c
        WINDOW own AS (PARTITION BY f.worker ORDER BY f.ord)
    ),
    journal AS (
        INSERT INTO journal_entries (
            id, event_id, kind, task_id, cycle, business_date, occurred_at, recorded_at, late
        )
        SELECT entry_id, event_id, kind, task_id, cycle, posted_on, moment, at_moment, late
        FROM chained ORDER BY ord
    ),
    sides AS (
        INSERT INTO postings (
            account_id, version, entry_id, business_date, amount_cents, balance_after_cents
        )
        SELECT worker, worker_version, entry_id, posted_on, amount, worker_after FROM chained
        UNION ALL
        SELECT company, company_version, entry_id, posted_on, -amount, company_after FROM chained
    ),
    cached AS (
        UPDATE ledger_accounts a SET balance_cents = n.balance, version = n.version
        FROM (
            SELECT DISTINCT ON (worker) worker AS id, worker_after AS balance, worker_version AS version
            FROM chained ORDER BY worker, ord DESC
        ) n
        WHERE a.id = n.id
    ),
    cached_company AS (
        UPDATE ledger_accounts a SET balance_cents = n.balance, version = n.version
        FROM (
            SELECT company_after AS balance, company_version AS version
            FROM chained ORDER BY ord DESC LIMIT 1
        ) n
        WHERE a.id = company
    )
    SELECT entry_id, amount, worker_after::bigint, posted_on, late FROM chained ORDER BY ord;
END $$
"""


def upgrade() -> None:
    op.execute(POST_ENTRIES)
    op.execute("REVOKE EXECUTE ON FUNCTION post_entries FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION post_entries TO {service()}_service")
