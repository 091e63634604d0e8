"""The relay's keys are shared out in slots, each with a cursor and a lease of its own."""

import sqlalchemy as sa
from alembic import op

from service_kit.migrating.grants import grant

revision = "kit_0005"
down_revision = "kit_0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "relay_slots",
        sa.Column("slot", sa.SmallInteger, autoincrement=False),
        sa.Column(
            "position", sa.BigInteger, nullable=False, comment="the broker has all of this slot up to this id"
        ),
        sa.Column("cluster_id", sa.Text, comment="of the broker that has them; another id means: send again"),
        sa.Column(
            "fence", sa.BigInteger, nullable=False, server_default="0", comment="grows with each new owner"
        ),
        sa.Column("owner", sa.Uuid),
        sa.Column("leased_until", MOMENT),
        sa.Column("moved_at", MOMENT, nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.PrimaryKeyConstraint("slot", name="pk_relay_slots"),
    )
    op.execute(
        """
        INSERT INTO relay_slots (slot, position, cluster_id)
        SELECT slot, coalesce(position, 0), cluster_id
        FROM generate_series(0, 7) AS slot LEFT JOIN relay_cursors ON relay = 'outbox'
        """
    )
    op.drop_table("relay_cursors")
    grant("relay_slots", "SELECT, UPDATE")
    op.create_table(
        "relay_owners",
        sa.Column("owner", sa.Uuid),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("backend", sa.BigInteger, nullable=False, comment="process of its session in the database"),
        sa.Column("backend_start", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_relay_owners"),
    )
    grant("relay_owners", "SELECT, INSERT, UPDATE, DELETE")
