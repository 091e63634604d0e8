"""The effects table."""

import sqlalchemy as sa
from alembic import op

from service_kit.migrating.grants import grant, grant_sequence

revision = "sample_0001"
down_revision = None
branch_labels = ("sample",)
depends_on = "kit_0001"


def upgrade() -> None:
    op.create_table(
        "effects",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("task_id", sa.Uuid, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
    )
    grant("effects", "SELECT, INSERT")
    grant_sequence("effects_id_seq")
