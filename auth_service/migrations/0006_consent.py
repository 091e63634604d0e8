"""Consent of people to other people's applications, audiences of tokens, address and telephone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from service_kit.migrating.grants import grant

revision = "auth_0006"
down_revision = "auth_0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("accounts", sa.Column("phone", sa.Text))
    op.add_column("accounts", sa.Column("postal_address", sa.Text))
    # Every client until now is a part of the exchange.
    op.add_column(
        "oauth_clients", sa.Column("third_party", sa.Boolean, nullable=False, server_default=sa.text("false"))
    )
    op.add_column("oauth_clients", sa.Column("audiences", ARRAY(sa.Text)))
    op.add_column("oauth_clients", sa.Column("registration_digest", sa.LargeBinary))
    for table in ("authorization_codes", "token_families"):
        op.add_column(table, sa.Column("resources", ARRAY(sa.Text)))
    op.create_table(
        "consents",
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column("given_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "client_id", name="pk_consents"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_consents_account_id_accounts"),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_clients.client_id"], name="fk_consents_client_id_oauth_clients"
        ),
    )
    op.create_index("ix_consents_client_id", "consents", ["client_id"])
    grant("consents", "SELECT, INSERT, UPDATE, DELETE")
