"""Postings belong to an entry and to an account: checked once for a statement instead of once for a row.

Two foreign keys looked both up for every posting and locked the rows they found, a fifth of what posting cost
the database. The check of balances looks the entry up anyway, and now the account too. What they protected
from the other side is refused outright: entries are append-only, and accounts stay.
"""

from alembic import op

revision = "billing_0006"
down_revision = "billing_0005"
branch_labels = None
depends_on = None

# Looked up by subqueries of their own, for the reason that migration billing_0001 gives.
ENTRIES_BALANCE = """
CREATE OR REPLACE FUNCTION refuse_unbalanced_entries() RETURNS trigger LANGUAGE plpgsql AS $$
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
    SELECT account_id INTO bad
    FROM (SELECT DISTINCT account_id FROM new_postings) n
    WHERE (SELECT a.id FROM ledger_accounts a WHERE a.id = n.account_id) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % does not exist', bad USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$
"""

ACCOUNTS_STAY = """
CREATE FUNCTION refuse_removal_of_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger accounts stay' USING ERRCODE = 'insufficient_privilege';
END $$
"""


def upgrade() -> None:
    op.execute(ENTRIES_BALANCE)
    op.execute(ACCOUNTS_STAY)
    op.execute(
        "CREATE TRIGGER ledger_accounts_stay BEFORE DELETE OR TRUNCATE OR UPDATE OF id ON ledger_accounts"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal_of_accounts()"
    )
    op.drop_constraint("fk_postings_account_id_ledger_accounts", "postings")
    op.drop_constraint("fk_postings_entry_id_journal_entries", "postings")
