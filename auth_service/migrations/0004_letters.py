"""Letters with links to set a password, and people who ask for an account."""

import sqlalchemy as sa
from alembic import op

from service_kit.migrating.grants import grant

revision = "auth_0004"
down_revision = "auth_0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "password_links",
        sa.Column("token_digest", sa.LargeBinary, nullable=False),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.PrimaryKeyConstraint("token_digest", name="pk_password_links"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_password_links_account_id_accounts"
        ),
    )
    for column in ("account_id", "expires_at"):
        op.create_index(f"ix_password_links_{column}", "password_links", [column])
    grant("password_links", "SELECT, INSERT, UPDATE, DELETE")

    op.create_table(
        "letters",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_letters"),
    )
    # A row lock is an update to the database's rights.
    grant("letters", "SELECT, INSERT, UPDATE, DELETE")

    op.create_table(
        "applications",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("login", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("decided_at", MOMENT),
        sa.Column("decided_by", sa.Uuid),
        sa.Column("reason", sa.Text),
        sa.Column("account_id", sa.Uuid),
        sa.PrimaryKeyConstraint("id", name="pk_applications"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_applications_account_id_accounts"),
    )
    op.create_index(
        "uq_applications_waiting",
        "applications",
        ["email"],
        unique=True,
        postgresql_where=sa.text("decided_at is null"),
    )
    op.create_index("ix_applications_decided_at", "applications", ["decided_at"])
    grant("applications", "SELECT, INSERT, UPDATE, DELETE")
