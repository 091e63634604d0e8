"""Clients that administrators keep: where they come from, whether they are on, a secret's successor."""

import sqlalchemy as sa
from alembic import op

revision = "auth_0005"
down_revision = "auth_0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    # Until now every client came from the settings.
    op.add_column(
        "oauth_clients", sa.Column("origin", sa.Text, nullable=False, server_default=sa.text("'settings'"))
    )
    op.add_column(
        "oauth_clients", sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.text("false"))
    )
    op.add_column("oauth_clients", sa.Column("former_secret_digest", sa.LargeBinary))
    op.add_column("oauth_clients", sa.Column("former_secret_until", MOMENT))
