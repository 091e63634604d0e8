"""Whether a person has shown that letters to their e-mail address reach them."""

import sqlalchemy as sa
from alembic import op

revision = "auth_0013"
down_revision = "auth_0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "accounts", sa.Column("email_proven", sa.Boolean, nullable=False, server_default=sa.text("false"))
    )
