"""Posting finds everything by its key, and an account's row is written anew in its own page.

A function keeps its plan. One that was made while the ledger was small reads whole tables, and goes on so
with each batch until statistics are gathered: at 300,000 events posting took a third longer than at first,
and the temporary tables of a replay have no statistics at all. All that `post_entries` reads it reads by
primary key.

The order by balance was an index on what changes with every posting, so that each change wrote to all indexes
of the account. Lists of accounts sort what they show; without that index, and with room in its page, a change
stays in its page and leaves nothing behind for the next one to step over.
"""

from alembic import op

revision = "billing_0011"
down_revision = "billing_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER FUNCTION post_entries SET enable_seqscan = off")
    op.drop_index("ix_ledger_accounts_workers_by_balance", "ledger_accounts")
    op.execute("ALTER TABLE ledger_accounts SET (fillfactor = 50)")
