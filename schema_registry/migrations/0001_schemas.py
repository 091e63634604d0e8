"""Schemas, versions of subjects, settings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from service_kit.migrating.grants import grant, service

revision = "schema_registry_0001"
down_revision = None
branch_labels = ("schema_registry",)
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "schemas",
        sa.Column("id", sa.Integer, sa.Identity(always=False)),
        sa.Column("guid", sa.Uuid, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("references", JSONB, nullable=False),
        sa.Column("details", JSONB),
        sa.Column("rule_set", JSONB),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("id", name="pk_schemas"),
        sa.UniqueConstraint("guid", name="uq_schemas_guid"),
    )
    # Schemas never change: there is no right to update one, only to remove one that nothing uses.
    grant("schemas", "SELECT, INSERT, DELETE")
    # An imported schema brings its id along, and the sequence has to be moved past it.
    op.execute(f"GRANT UPDATE ON SEQUENCE schemas_id_seq TO {service()}_service")

    op.create_table(
        "subject_versions",
        sa.Column("subject", sa.Text),
        sa.Column("version", sa.Integer),
        sa.Column("schema_id", sa.Integer, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.PrimaryKeyConstraint("subject", "version", name="pk_subject_versions"),
        sa.ForeignKeyConstraint(["schema_id"], ["schemas.id"], name="fk_subject_versions_schema_id_schemas"),
    )
    op.create_index("ix_subject_versions_schema_id", "subject_versions", ["schema_id"])
    grant("subject_versions", "SELECT, INSERT, UPDATE, DELETE")

    op.create_table(
        "settings",
        sa.Column("subject", sa.Text),
        sa.Column("level", sa.Text),
        sa.Column("mode", sa.Text),
        sa.Column("others", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.PrimaryKeyConstraint("subject", name="pk_settings"),
    )
    grant("settings", "SELECT, INSERT, UPDATE, DELETE")
