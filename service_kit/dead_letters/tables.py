"""The tables: letters, what people did with them, and redrives of many."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service_kit.database import kit_metadata

NOW = text("clock_timestamp()")
MOMENT = DateTime(timezone=True)

dead_letters = Table(
    "dead_letters",
    kit_metadata,
    Column("id", Uuid, primary_key=True),
    Column(
        "identity",
        LargeBinary,
        nullable=False,
        unique=True,
        comment="SHA-256 of what makes two records the same",
    ),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("headers", JSONB, nullable=False),
    Column("event_id", Uuid, index=True),
    Column("type_name", Text, comment="what the record says it is; absent when it says nothing"),
    Column("reason", Text, nullable=False, comment="stable code, to group by"),
    Column("detail", Text, nullable=False, comment="sentence with the path of what is wrong"),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("first_seen_at", MOMENT, nullable=False, server_default=NOW),
    Column("last_seen_at", MOMENT, nullable=False, server_default=NOW),
    Column("sent_value", LargeBinary, comment="as it was sent again last, where it was repaired"),
    Column("sent_headers", JSONB, comment="the same for the headers"),
    Column("sent_at", MOMENT, comment="when it was sent again last"),
    Column("redrive_id", Uuid, index=True, comment="the redrive of many it was last part of"),
    CheckConstraint("state in ('waiting', 'queued', 'redriven', 'discarded')", name="state"),
    Index("ix_dead_letters_state", "state", "last_seen_at", "id"),
)

dead_letter_redrives = Table(
    "dead_letter_redrives",
    kit_metadata,
    Column("id", Uuid, primary_key=True),
    Column("asked_at", MOMENT, nullable=False, server_default=NOW),
    Column("reason", Text, comment="only letters put aside for this reason; absent means all"),
    Column("type_name", Text, comment="only events of this type; absent means all"),
    Column("rate_per_s", Integer, nullable=False),
    Column("total", Integer, nullable=False, comment="letters it began with"),
    Column("state", Text, nullable=False, server_default="running"),
    Column("stopped_because", Text),
    Column("moved_at", MOMENT, nullable=False, server_default=NOW, comment="when letters were last sent"),
    CheckConstraint("state in ('running', 'done', 'stopped')", name="state"),
)

dead_letter_actions = Table(
    "dead_letter_actions",
    kit_metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("letter_id", Uuid, index=True, comment="absent where the act was on a whole redrive"),
    Column("redrive_id", Uuid, index=True),
    Column("action", Text, nullable=False),
    Column("actor_guid", Uuid, comment="the person; absent for an operator and for the consumer itself"),
    Column("operator", Text, comment="who ran the command, as the machine knows them"),
    Column("at", MOMENT, nullable=False, server_default=NOW),
    Column("note", Text),
    Column("value", LargeBinary, comment="what was sent instead of the original value"),
    Column("headers", JSONB, comment="the same for the headers"),
)
"""INSERT and SELECT only, by role and by trigger."""
