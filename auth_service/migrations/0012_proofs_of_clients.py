"""How a client that registered itself proves itself (RFC 7591)."""

import sqlalchemy as sa
from alembic import op

revision = "auth_0012"
down_revision = "auth_0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("oauth_clients", sa.Column("auth_method", sa.Text))
