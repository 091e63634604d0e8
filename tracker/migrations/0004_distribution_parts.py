"""A distribution is cut into parts, which several hands deal at the same time.

A run that is under way keeps the place it had come to: what lies behind it is cut into parts.
"""

import sqlalchemy as sa
from alembic import op

from service_kit.migrating.grants import grant

revision = "tracker_0004"
down_revision = "tracker_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("distributions", "cursor", new_column_name="cut_upto")
    op.create_table(
        "distribution_parts",
        sa.Column(
            "distribution_id",
            sa.Uuid,
            sa.ForeignKey("distributions.id", name="fk_distribution_parts_distribution_id_distributions"),
            primary_key=True,
        ),
        sa.Column("first_task_id", sa.Uuid, primary_key=True),
        sa.Column("until_task_id", sa.Uuid, nullable=False),
    )
    grant("distribution_parts", "SELECT, INSERT, UPDATE, DELETE")
