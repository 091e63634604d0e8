"""Posting says what it posted in the same statement; the facts come as one JSON text.

The function is that of billing_0002 but for how it is given the facts and for what it says of them. Amounts
are whole numbers of four bytes, so that the sums over a batch stay whole numbers too, and no decimals.
"""

from alembic import op

from service_kit.migrating.grants import service

revision = "billing_0010"
down_revision = "billing_0009"
branch_labels = None
depends_on = None

POST_ENTRIES = """
CREATE FUNCTION post_entries(
    company uuid, at_moment timestamptz, moves json, workers uuid[],
    day_zone text, day_dates date[], day_starts timestamptz[],
    aloud boolean, topic text, fact_name text, fact_version integer, fact_schema integer, fact_form text
) RETURNS bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    closed date;
    posted bigint;
BEGIN
    SELECT last_closed_date INTO closed FROM ledger_state FOR SHARE;
    INSERT INTO ledger_accounts (id, kind, opened_at)
        SELECT worker, 'worker', at_moment FROM unnest(workers) AS w(worker) ORDER BY worker
        ON CONFLICT DO NOTHING;
    PERFORM FROM ledger_accounts WHERE id = ANY (workers || company) ORDER BY id FOR UPDATE;
    INSERT INTO days (business_date, zone, opened_at)
        SELECT day, day_zone, start FROM unnest(day_dates, day_starts) AS d(day, start)
        WHERE closed IS NULL OR day > closed ORDER BY day
        ON CONFLICT DO NOTHING;
    WITH chained AS MATERIALIZED (
        SELECT f.*,
               a.version + row_number() OVER own AS worker_version,
               a.balance_cents + sum(f.amount) OVER own AS worker_after,
               c.version + row_number() OVER (ORDER BY f.ord) AS company_version,
               c.balance_cents - sum(f.amount) OVER (ORDER BY f.ord) AS company_after
        FROM (
            SELECT g.*,
                   CASE WHEN g.own_date <= closed THEN closed + 1 ELSE g.own_date END AS posted_on,
                   coalesce(g.own_date <= closed, false) AS late,
                   CASE g.kind
                       WHEN 'fee' THEN -p.fee_cents::integer
                       WHEN 'reward' THEN p.reward_cents::integer
                   END AS amount
            FROM ROWS FROM (
                json_to_recordset(moves) AS (
                    event_id uuid, entry_id uuid, fact_id uuid, kind text, task_id uuid, cycle integer,
                    worker uuid, moment timestamptz, own_date date, correlation_id text, traceparent text
                )
            ) WITH ORDINALITY AS g(
                event_id, entry_id, fact_id, kind, task_id, cycle,
                worker, moment, own_date, correlation_id, traceparent, ord
            )
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
    ),
    said AS (
        INSERT INTO outbox (
            event_id, topic, key, name, version, schema_id, data, occurred_at,
            correlation_id, causation_id, traceparent
        )
        SELECT fact_id, topic, worker::text, fact_name, fact_version, fact_schema,
               convert_to(format(
                   fact_form, entry_id, worker, task_id, kind, amount, worker_after, posted_on, late::text,
                   to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
               ), 'UTF8'),
               moment, correlation_id, event_id::text, traceparent
        FROM chained WHERE aloud ORDER BY ord
    )
    SELECT count(*) INTO posted FROM chained;
    RETURN posted;
END $$
"""

OLD = (
    "uuid, timestamptz, uuid[], uuid[], text[], uuid[], integer[], uuid[], timestamptz[], date[],"
    " text, date[], timestamptz[]"
)


def upgrade() -> None:
    op.execute(f"DROP FUNCTION post_entries({OLD})")
    op.execute(POST_ENTRIES)
    op.execute("REVOKE EXECUTE ON FUNCTION post_entries FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION post_entries TO {service()}_service")
