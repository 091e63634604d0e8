"""The chain of hashes over journal and postings."""

import sqlalchemy as sa
from alembic import op

from service_kit.migrating.grants import append_only, grant

revision = "billing_0004"
down_revision = "billing_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger_seals",
        sa.Column("number", sa.BigInteger, autoincrement=False),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("first_version", sa.BigInteger, nullable=False),
        sa.Column("last_version", sa.BigInteger, nullable=False),
        sa.Column("leaves", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_ledger_seals"),
        sa.UniqueConstraint("account_id", "first_version", name="uq_ledger_seals_account_id"),
        sa.CheckConstraint("first_version <= last_version", name="ck_ledger_seals_versions"),
    )
    grant("ledger_seals", "SELECT, INSERT")
    append_only("ledger_seals")
