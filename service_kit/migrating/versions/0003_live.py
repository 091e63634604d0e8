"""What changed lately, for pages that follow along."""

from alembic import op

from service_kit.migrating.grants import grant

revision = "kit_0003"
down_revision = "kit_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE live_changes (
            id bigint GENERATED ALWAYS AS IDENTITY,
            topic text NOT NULL,
            transaction_id bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
            at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT pk_live_changes PRIMARY KEY (id)
        )
        """
    )
    op.create_index("ix_live_changes_transaction_id", "live_changes", ["transaction_id"])
    grant("live_changes", "SELECT, INSERT, DELETE")
