"""Postings belong to an entry and to an account: checked once for a statement instead of once for a row.

Two foreign keys looked both up for every posting and locked the rows they found, a fifth of what posting cost
the database. The check of balances looks the entry up anyway; a second one beside it does so for accounts.
What they protected from the other side is refused outright: entries are append-only, and accounts stay.
"""

from alembic import op

revision = "billing_0006"
down_revision = "billing_0005"
branch_labels = None
depends_on = None

# Looked up by a subquery of its own for each account, for the reason that migration billing_0001 gives.
ACCOUNTS_EXIST = """
CREATE FUNCTION refuse_postings_without_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE missing uuid;
BEGIN
    SELECT account_id INTO missing
    FROM (SELECT DISTINCT account_id FROM new_postings) n
    WHERE (SELECT a.id FROM ledger_accounts a WHERE a.id = n.account_id) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % does not exist', missing USING ERRCODE = 'foreign_key_violation';
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
    op.execute(ACCOUNTS_EXIST)
    op.execute(
        "CREATE TRIGGER postings_of_accounts AFTER INSERT ON postings REFERENCING NEW TABLE AS new_postings"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_postings_without_account()"
    )
    op.execute(ACCOUNTS_STAY)
    op.execute(
        "CREATE TRIGGER ledger_accounts_stay BEFORE DELETE OR TRUNCATE OR UPDATE OF id ON ledger_accounts"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal_of_accounts()"
    )
    op.drop_constraint("fk_postings_account_id_ledger_accounts", "postings")
    op.drop_constraint("fk_postings_entry_id_journal_entries", "postings")
