"""Second factors, recovery codes, and what is known of a session beside its person."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from service_kit.migrating.grants import grant

revision = "auth_0002"
down_revision = "auth_0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    # Whoever is signed in at this moment came by password: there was no other way.
    op.add_column(
        "sign_on_sessions",
        sa.Column("methods", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{pwd}'")),
    )
    op.add_column("sign_on_sessions", sa.Column("address", sa.Text))
    op.add_column("sign_on_sessions", sa.Column("program", sa.Text))
    op.create_table(
        "totp_factors",
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("confirmed_at", MOMENT),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_totp_factors"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_totp_factors_account_id_accounts"),
    )
    grant("totp_factors", "SELECT, INSERT, UPDATE, DELETE")
    op.create_table(
        "recovery_codes",
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("code_digest", sa.LargeBinary, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.PrimaryKeyConstraint("account_id", "code_digest", name="pk_recovery_codes"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_recovery_codes_account_id_accounts"
        ),
    )
    grant("recovery_codes", "SELECT, INSERT, UPDATE, DELETE")
