"""Contexts with ids of their own, types of schemas, and the record of who changed what."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from service_kit.migrating.grants import append_only, grant

revision = "schema_registry_0002"
down_revision = "schema_registry_0001"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.drop_constraint("fk_subject_versions_schema_id_schemas", "subject_versions", type_="foreignkey")
    for table in ("schemas", "subject_versions"):
        op.add_column(table, sa.Column("context", sa.Text, nullable=False, server_default="."))
        op.alter_column(table, "context", server_default=None)
    op.add_column("schemas", sa.Column("schema_type", sa.Text, nullable=False, server_default="JSON"))
    op.alter_column("schemas", "schema_type", server_default=None)

    # Whoever moves in from another registry brings ids along that may be taken in another context.
    op.drop_constraint("pk_schemas", "schemas", type_="primary")
    op.create_primary_key("pk_schemas", "schemas", ["context", "id"])
    op.drop_constraint("uq_schemas_guid", "schemas", type_="unique")
    op.create_unique_constraint("uq_schemas_context", "schemas", ["context", "guid"])
    op.create_index("ix_schemas_guid", "schemas", ["guid"])
    op.create_foreign_key(
        "fk_subject_versions_context_schemas",
        "subject_versions",
        "schemas",
        ["context", "schema_id"],
        ["context", "id"],
    )
    op.create_index(
        "ix_schemas_references", "schemas", ["references"], postgresql_using="gin", if_not_exists=True
    )

    op.create_table(
        "changes",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True)),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("details", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_changes"),
    )
    grant("changes", "SELECT, INSERT")
    append_only("changes")
