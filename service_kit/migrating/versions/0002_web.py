"""Browser sessions and the answers kept for repeated requests."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from service_kit.migrating.grants import grant

revision = "kit_0002"
down_revision = "kit_0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "web_sessions",
        sa.Column("id_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("account_guid", sa.Uuid, nullable=False),
        sa.Column("provider_session_id", sa.String(255)),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("locale", sa.String(10)),
        sa.Column("id_token", sa.LargeBinary, nullable=False),
        sa.Column("refresh_token", sa.LargeBinary),
        sa.Column("fresh_until", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id_hash", name="pk_web_sessions"),
    )
    for column in ("account_guid", "provider_session_id", "expires_at"):
        op.create_index(f"ix_web_sessions_{column}", "web_sessions", [column])
    grant("web_sessions", "SELECT, INSERT, UPDATE, DELETE")
    op.create_table(
        "idempotency_keys",
        sa.Column("account_guid", sa.Uuid, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("headers", JSONB),
        sa.Column("body", sa.LargeBinary),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("account_guid", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    grant("idempotency_keys", "SELECT, INSERT, UPDATE, DELETE")
