"""Letters that the mail server does not take are tried again."""

import sqlalchemy as sa
from alembic import op

revision = "billing_0007"
down_revision = "billing_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("letters", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("letters", sa.Column("due_at", sa.DateTime(timezone=True)))
