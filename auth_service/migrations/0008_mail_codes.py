"""Sign-in by a code in a letter."""

import sqlalchemy as sa
from alembic import op

from service_kit.migrating.grants import grant

revision = "auth_0008"
down_revision = "auth_0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "mail_codes",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("account_id", sa.Uuid),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mail_codes"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_mail_codes_account_id_accounts"),
    )
    op.create_index("ix_mail_codes_expires_at", "mail_codes", ["expires_at"])
    grant("mail_codes", "SELECT, INSERT, UPDATE, DELETE")
