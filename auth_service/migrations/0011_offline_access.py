"""Refresh tokens that outlive a sign-out (offline_access), and the services a device asks for (RFC 8707)."""

import sqlalchemy as sa
from alembic import op

revision = "auth_0011"
down_revision = "auth_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "token_families", sa.Column("offline", sa.Boolean, nullable=False, server_default=sa.text("false"))
    )
    op.add_column("device_grants", sa.Column("resources", sa.ARRAY(sa.Text)))
