"""Accounts, sign-on sessions, OAuth clients, codes, tokens, signing keys, guess counters, audit log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from service_kit.migrating.grants import append_only, grant

revision = "auth_0001"
down_revision = None
branch_labels = ("auth",)
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    people()
    clients()
    tokens()
    upkeep()


def people() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("login", sa.Text, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("blocked", sa.Boolean, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("locale", sa.Text),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("login", name="uq_accounts_login"),
        sa.UniqueConstraint("email", name="uq_accounts_email"),
        sa.CheckConstraint("login = lower(login)", name=op.f("ck_accounts_login_lower")),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_accounts_email_lower")),
        sa.CheckConstraint(
            "role in ('worker', 'manager', 'accountant', 'admin', 'client')",
            name=op.f("ck_accounts_role_known"),
        ),
    )
    grant("accounts", "SELECT, INSERT, UPDATE")

    op.create_table(
        "sign_on_sessions",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("secret_digest", sa.LargeBinary, nullable=False),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("authenticated_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_sign_on_sessions"),
        sa.UniqueConstraint("secret_digest", name="uq_sign_on_sessions_secret_digest"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_sign_on_sessions_account_id_accounts"
        ),
    )
    op.create_index("ix_sign_on_sessions_account_id", "sign_on_sessions", ["account_id"])
    op.create_index("ix_sign_on_sessions_expires_at", "sign_on_sessions", ["expires_at"])
    grant("sign_on_sessions", "SELECT, INSERT, UPDATE, DELETE")


def clients() -> None:
    op.create_table(
        "oauth_clients",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_digest", sa.LargeBinary),
        sa.Column("redirect_uris", ARRAY(sa.Text), nullable=False),
        sa.Column("post_logout_redirect_uris", ARRAY(sa.Text), nullable=False),
        sa.Column("backchannel_logout_uri", sa.Text),
        sa.Column("grant_types", ARRAY(sa.Text), nullable=False),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_oauth_clients"),
    )
    grant("oauth_clients", "SELECT, INSERT, UPDATE")


def tokens() -> None:
    op.create_table(
        "token_families",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
        sa.Column("revoked_because", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_token_families"),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_clients.client_id"], name="fk_token_families_client_id_oauth_clients"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_token_families_account_id_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sign_on_sessions.id"], name="fk_token_families_session_id_sign_on_sessions"
        ),
    )
    for column in ("account_id", "session_id", "expires_at"):
        op.create_index(f"ix_token_families_{column}", "token_families", [column])
    grant("token_families", "SELECT, INSERT, UPDATE, DELETE")

    op.create_table(
        "authorization_codes",
        sa.Column("code_digest", sa.LargeBinary, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("nonce", sa.Text),
        sa.Column("code_challenge", sa.Text, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.Column("family_id", sa.Uuid),
        sa.PrimaryKeyConstraint("code_digest", name="pk_authorization_codes"),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_clients.client_id"], name="fk_authorization_codes_client_id_oauth_clients"
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_authorization_codes_account_id_accounts"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sign_on_sessions.id"], name="fk_authorization_codes_session_id_sign_on_sessions"
        ),
        sa.ForeignKeyConstraint(
            ["family_id"], ["token_families.id"], name="fk_authorization_codes_family_id_token_families"
        ),
    )
    op.create_index("ix_authorization_codes_expires_at", "authorization_codes", ["expires_at"])
    grant("authorization_codes", "SELECT, INSERT, UPDATE, DELETE")

    op.create_table(
        "refresh_tokens",
        sa.Column("token_digest", sa.LargeBinary, nullable=False),
        sa.Column("family_id", sa.Uuid, nullable=False),
        sa.Column("issued_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.PrimaryKeyConstraint("token_digest", name="pk_refresh_tokens"),
        sa.ForeignKeyConstraint(
            ["family_id"],
            ["token_families.id"],
            name="fk_refresh_tokens_family_id_token_families",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_refresh_tokens_family_id", "refresh_tokens", ["family_id"])
    grant("refresh_tokens", "SELECT, INSERT, UPDATE, DELETE")

    op.create_table(
        "revoked_access_tokens",
        sa.Column("jti", sa.Text, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("jti", name="pk_revoked_access_tokens"),
    )
    op.create_index("ix_revoked_access_tokens_expires_at", "revoked_access_tokens", ["expires_at"])
    grant("revoked_access_tokens", "SELECT, INSERT, DELETE")


def upkeep() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("algorithm", sa.Text, nullable=False),
        sa.Column("sealed_jwk", sa.LargeBinary, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("signs_from", MOMENT),
        sa.Column("signs_until", MOMENT),
        sa.PrimaryKeyConstraint("kid", name="pk_signing_keys"),
        sa.CheckConstraint("algorithm in ('ES256', 'RS256')", name=op.f("ck_signing_keys_algorithm_known")),
    )
    grant("signing_keys", "SELECT, INSERT, UPDATE")

    op.create_table(
        "guess_counters",
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("waits_until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_guess_counters"),
    )
    op.create_index("ix_guess_counters_last_at", "guess_counters", ["last_at"])
    grant("guess_counters", "SELECT, INSERT, UPDATE, DELETE")

    op.create_table(
        "logout_notices",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_logout_notices"),
        sa.ForeignKeyConstraint(
            ["client_id"], ["oauth_clients.client_id"], name="fk_logout_notices_client_id_oauth_clients"
        ),
    )
    op.create_index("ix_logout_notices_next_attempt_at", "logout_notices", ["next_attempt_at"])
    grant("logout_notices", "SELECT, INSERT, UPDATE, DELETE")

    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Uuid),
        sa.Column("account_id", sa.Uuid),
        sa.Column("client_id", sa.Text),
        sa.Column("address", sa.Text),
        sa.Column("details", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
    op.create_index("ix_audit_log_account_id", "audit_log", ["account_id"])
    grant("audit_log", "SELECT, INSERT")
    append_only("audit_log")
