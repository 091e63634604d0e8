"""Outbox, relay cursor, inbox and dead letters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from service_kit.migrating.grants import grant, grant_sequence

revision = "kit_0001"
down_revision = None
branch_labels = ("kit",)
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.execute("CREATE SEQUENCE outbox_id_seq AS bigint CACHE 1")
    op.create_table(
        "outbox",
        sa.Column(
            "id",
            sa.BigInteger,
            server_default=sa.text(
                "case when pg_current_xact_id() is null then null else nextval('outbox_id_seq') end"
            ),
        ),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("schema_id", sa.Integer, comment="absent: the value is sent as it is, without a frame"),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("headers", JSONB, comment="replaces the event's own headers; only for raw records"),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("correlation_id", sa.Text),
        sa.Column("causation_id", sa.Text),
        sa.Column("traceparent", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.execute("ALTER SEQUENCE outbox_id_seq OWNED BY outbox.id")
    for column in ("event_id", "key", "correlation_id"):
        op.create_index(f"ix_outbox_{column}", "outbox", [column])
    grant("outbox", "SELECT, INSERT")
    grant_sequence("outbox_id_seq")

    op.create_table(
        "relay_cursors",
        sa.Column("relay", sa.Text),
        sa.Column("position", sa.BigInteger, nullable=False, comment="the broker has all up to this id"),
        sa.Column("cluster_id", sa.Text, comment="of the broker that has them; another id means: send again"),
        sa.Column("moved_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("relay", name="pk_relay_cursors"),
    )
    grant("relay_cursors", "SELECT, INSERT, UPDATE")

    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Uuid),
        sa.Column("version", sa.Integer, nullable=False, comment="that acted; others are silence"),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False, comment="SHA-256 of the data"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("correlation_id", sa.Text),
        sa.Column("sent_at", MOMENT, nullable=False, comment="when the relay gave it to the broker"),
        sa.Column("processed_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("event_id", name="pk_inbox"),
    )
    for column in ("key", "correlation_id"):
        op.create_index(f"ix_inbox_{column}", "inbox", [column])
    grant("inbox", "SELECT, INSERT")

    op.create_table(
        "dead_letters",
        sa.Column("id", sa.Uuid),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("key", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("event_id", sa.Uuid),
        sa.Column("reason", sa.Text, nullable=False, comment="stable code, to group by"),
        sa.Column("detail", sa.Text, nullable=False, comment="sentence with the path of what is wrong"),
        sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="1"),
        sa.Column("first_seen_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("last_seen_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letters"),
        sa.UniqueConstraint("topic", "partition", "offset", name="uq_dead_letters_topic"),
        sa.CheckConstraint("state in ('waiting', 'redriven', 'discarded')", name="ck_dead_letters_state"),
    )
    op.create_index("ix_dead_letters_event_id", "dead_letters", ["event_id"])
    grant("dead_letters", "SELECT, INSERT, UPDATE")
