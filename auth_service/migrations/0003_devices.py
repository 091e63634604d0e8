"""Devices without a keyboard, and clients that prove themselves with a key of their own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from service_kit.migrating.grants import grant

revision = "auth_0003"
down_revision = "auth_0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("oauth_clients", sa.Column("jwks", JSONB))
    op.create_table(
        "client_assertions",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("jti_digest", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("client_id", "jti_digest", name="pk_client_assertions"),
    )
    op.create_index("ix_client_assertions_expires_at", "client_assertions", ["expires_at"])
    grant("client_assertions", "SELECT, INSERT, DELETE")
    op.create_table(
        "device_grants",
        sa.Column("device_digest", sa.LargeBinary, nullable=False),
        sa.Column("user_code_digest", sa.LargeBinary, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("interval_s", sa.Integer, nullable=False),
        sa.Column("polled_at", MOMENT),
        sa.Column("account_id", sa.Uuid),
        sa.Column("session_id", sa.Uuid),
        sa.Column("allowed", sa.Boolean),
        sa.Column("used_at", MOMENT),
        sa.Column("family_id", sa.Uuid),
        sa.PrimaryKeyConstraint("device_digest", name="pk_device_grants"),
        sa.UniqueConstraint("user_code_digest", name="uq_device_grants_user_code_digest"),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_clients.client_id"], name="fk_device_grants_client_id_oauth_clients"
        ),
    )
    op.create_index("ix_device_grants_expires_at", "device_grants", ["expires_at"])
    grant("device_grants", "SELECT, INSERT, UPDATE, DELETE")
