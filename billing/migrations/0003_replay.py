"""A replay writes the ledger once more into temporary tables, which are refused to everybody by default."""

from alembic import op

from service_kit.migrating.grants import service

revision = "billing_0003"
down_revision = "billing_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        f"""
        DO $$ BEGIN
            EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO {service()}_service', current_database());
        END $$
        """
    )
