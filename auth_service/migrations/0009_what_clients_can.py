"""What a client's library can: PKCE or only a nonce, and by which algorithm its ID tokens are signed."""

import sqlalchemy as sa
from alembic import op

revision = "auth_0009"
down_revision = "auth_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "oauth_clients",
        sa.Column("without_pkce", sa.Boolean, nullable=False, server_default=sa.text("false")),
    )
    op.add_column(
        "oauth_clients", sa.Column("id_token_alg", sa.Text, nullable=False, server_default=sa.text("'RS256'"))
    )
    op.create_check_constraint(
        "ck_oauth_clients_id_token_alg_known", "oauth_clients", "id_token_alg in ('RS256', 'ES256')"
    )
    op.alter_column("authorization_codes", "code_challenge", nullable=True)
