"""Payouts and letters belong together: checked once for a statement instead of three times for each payout.

Three foreign keys looked up account, day and payout row by row and locked what they found. The check of a
payout asks for more than they did, that the journal says the same; and a letter's own name needs no index, as
it is made of the id that is the key already. What they protected from the other side is refused outright:
payouts and entries are append-only, accounts and closed days stay.
"""

from alembic import op

revision = "billing_0008"
down_revision = "billing_0007"
branch_labels = None
depends_on = None

# Looked up by a subquery of its own for each payout, for the reason that migration billing_0001 gives.
PAYOUTS_ARE_ENTRIES = """
CREATE FUNCTION refuse_payouts_without_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE bad uuid;
BEGIN
    SELECT n.id INTO bad
    FROM new_payouts n
    WHERE (
        SELECT p.amount_cents FROM postings p
        WHERE p.entry_id = n.id AND p.account_id = n.account_id AND p.business_date = n.business_date
    ) IS DISTINCT FROM -n.amount_cents
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payout % is not what the journal says', bad
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (
        SELECT business_date FROM new_payouts EXCEPT SELECT business_date FROM days
    ) THEN
        RAISE EXCEPTION 'a payout belongs to a day that is not on record'
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$
"""

LETTERS_OF_PAYOUTS = """
CREATE FUNCTION refuse_letters_without_payout() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE missing uuid;
BEGIN
    SELECT n.payout_id INTO missing
    FROM new_letters n
    WHERE (SELECT p.id FROM payouts p WHERE p.id = n.payout_id) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payout % does not exist', missing USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$
"""

LETTERS_STAY = """
CREATE FUNCTION refuse_letters_of_another_payout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a letter stays the letter of its payout' USING ERRCODE = 'insufficient_privilege';
END $$
"""


def upgrade() -> None:
    op.execute(PAYOUTS_ARE_ENTRIES)
    op.execute(
        "CREATE TRIGGER payouts_of_entries AFTER INSERT ON payouts REFERENCING NEW TABLE AS new_payouts"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_payouts_without_entry()"
    )
    op.execute(LETTERS_OF_PAYOUTS)
    op.execute(
        "CREATE TRIGGER letters_of_payouts AFTER INSERT ON letters REFERENCING NEW TABLE AS new_letters"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_letters_without_payout()"
    )
    op.execute(LETTERS_STAY)
    op.execute(
        "CREATE TRIGGER letters_stay BEFORE UPDATE OF payout_id ON letters"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_letters_of_another_payout()"
    )
    op.drop_constraint("fk_letters_payout_id_payouts", "letters")
    op.drop_constraint("uq_letters_message_id", "letters")
    op.drop_constraint("fk_payouts_account_id_ledger_accounts", "payouts")
    op.drop_constraint("fk_payouts_business_date_days", "payouts")
