"""Dead letters are worked on by people: what is the same record, redrives of many, who did what."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from service_kit.migrating.grants import append_only, grant

revision = "kit_0004"
down_revision = "kit_0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    for column in (
        sa.Column("identity", sa.LargeBinary, comment="SHA-256 of what makes two records the same"),
        sa.Column("type_name", sa.Text, comment="what the record says it is; absent when it says nothing"),
        sa.Column("sent_value", sa.LargeBinary, comment="as it was sent again last, where it was repaired"),
        sa.Column("sent_headers", JSONB, comment="the same for the headers"),
        sa.Column("sent_at", MOMENT, comment="when it was sent again last"),
        sa.Column("redrive_id", sa.Uuid, comment="the redrive of many it was last part of"),
    ):
        op.add_column("dead_letters", column)
    op.execute(
        """
        UPDATE dead_letters SET
            identity = sha256(convert_to(topic || '/' || partition || '/' || "offset", 'UTF8')),
            type_name = headers ->> 'ce_type'
        """
    )
    op.alter_column("dead_letters", "identity", nullable=False)
    op.drop_constraint("uq_dead_letters_topic", "dead_letters")
    op.create_unique_constraint("uq_dead_letters_identity", "dead_letters", ["identity"])
    op.drop_constraint("ck_dead_letters_state", "dead_letters")
    op.create_check_constraint(
        "ck_dead_letters_state", "dead_letters", "state in ('waiting', 'queued', 'redriven', 'discarded')"
    )
    op.create_index("ix_dead_letters_state", "dead_letters", ["state", "last_seen_at", "id"])
    op.create_index("ix_dead_letters_redrive_id", "dead_letters", ["redrive_id"])

    op.create_table(
        "dead_letter_redrives",
        sa.Column("id", sa.Uuid),
        sa.Column("asked_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("reason", sa.Text, comment="only letters put aside for this reason; absent means all"),
        sa.Column("type_name", sa.Text, comment="only events of this type; absent means all"),
        sa.Column("rate_per_s", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer, nullable=False, comment="letters it began with"),
        sa.Column("state", sa.Text, nullable=False, server_default="running"),
        sa.Column("stopped_because", sa.Text),
        sa.Column(
            "moved_at", MOMENT, nullable=False, server_default=NOW, comment="when letters were last sent"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letter_redrives"),
        sa.CheckConstraint("state in ('running', 'done', 'stopped')", name="ck_dead_letter_redrives_state"),
    )
    grant("dead_letter_redrives", "SELECT, INSERT, UPDATE")

    op.create_table(
        "dead_letter_actions",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True)),
        sa.Column("letter_id", sa.Uuid, comment="absent where the act was on a whole redrive"),
        sa.Column("redrive_id", sa.Uuid),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column(
            "actor_guid", sa.Uuid, comment="the person; absent for an operator and for the consumer itself"
        ),
        sa.Column("operator", sa.Text, comment="who ran the command, as the machine knows them"),
        sa.Column("at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("note", sa.Text),
        sa.Column("value", sa.LargeBinary, comment="what was sent instead of the original value"),
        sa.Column("headers", JSONB, comment="the same for the headers"),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letter_actions"),
    )
    for column_name in ("letter_id", "redrive_id"):
        op.create_index(f"ix_dead_letter_actions_{column_name}", "dead_letter_actions", [column_name])
    grant("dead_letter_actions", "SELECT, INSERT")
    append_only("dead_letter_actions")
