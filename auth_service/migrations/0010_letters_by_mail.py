"""Letters are finished first and handed over then, and tried again when nobody takes them."""

import sqlalchemy as sa
from alembic import op

revision = "auth_0010"
down_revision = "auth_0009"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("letters", sa.Column("finished", sa.LargeBinary))
    op.add_column("letters", sa.Column("finished_at", MOMENT))
    op.add_column("letters", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("letters", sa.Column("due_at", MOMENT))
