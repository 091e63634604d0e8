"""Tables of auth_service. Secrets are kept as digests, private keys sealed, passwords as argon2id hashes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Text,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from auth_service.domain.keys import Algorithm
from auth_service.domain.tokens import Subject
from service_kit.database import NAMING, Id, Moment
from service_kit.roles import Role


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class Account(Base):
    """A person who may sign in. The only table with personal data."""

    __tablename__ = "accounts"
    __table_args__ = (
        CheckConstraint("login = lower(login)", name="login_lower"),
        CheckConstraint("email = lower(email)", name="email_lower"),
        CheckConstraint("role in ('worker', 'manager', 'accountant', 'admin', 'client')", name="role_known"),
    )

    id: Mapped[Id]
    login: Mapped[str] = mapped_column(Text, unique=True)
    email: Mapped[str | None] = mapped_column(Text, unique=True)
    email_proven: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """Something out of a letter to this address was used: a link, a code."""

    name: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    blocked: Mapped[bool] = mapped_column(default=False)
    password_hash: Mapped[str | None] = mapped_column(Text)
    """Absent for an account that cannot sign in with a password (yet)."""

    locale: Mapped[str | None] = mapped_column(Text)
    """Absent until the person chooses: pages then speak as the browser asks."""

    time_zone: Mapped[str] = mapped_column(Text)
    phone: Mapped[str | None] = mapped_column(Text)
    postal_address: Mapped[str | None] = mapped_column(Text)
    """Both are told to applications that were granted the scope of this name, and to nobody else."""

    created_at: Mapped[Moment]
    version: Mapped[int] = mapped_column(default=1)
    """Grows with each change; an edit of an older version is refused."""


class SignOnSession(Base):
    """One person signed in, in one browser. Its id is the `sid` of tokens; the cookie's secret is another."""

    __tablename__ = "sign_on_sessions"

    id: Mapped[Id]
    secret_digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), index=True)
    authenticated_at: Mapped[Moment]
    seen_at: Mapped[Moment]
    expires_at: Mapped[Moment] = mapped_column(DateTime(timezone=True), index=True)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    methods: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{pwd}'"))
    """By what the person proved to be themselves (RFC 8176): `pwd`, `otp`."""

    address: Mapped[str | None] = mapped_column(Text)
    program: Mapped[str | None] = mapped_column(Text)
    """Browser and system as the browser named them, so that people know their sessions apart."""


PEOPLE = (
    select(
        Account.id.label("guid"),
        *(Account.role, Account.name, Account.login, Account.email, Account.locale, Account.time_zone),
        *(Account.email_proven, Account.phone, Account.postal_address),
        SignOnSession.id.label("session_id"),
        *(SignOnSession.authenticated_at, SignOnSession.methods),
    )
    .select_from(SignOnSession)
    .join(Account, Account.id == SignOnSession.account_id)
)
"""Sessions with their people, as columns: to make objects of two tables takes longer than to ask for them."""


def subject(row: Row[*tuple[Any, ...]]) -> Subject:
    """The person of one session as tokens describe them; `row` is one of `PEOPLE`."""
    return Subject(
        guid=row.guid,
        role=Role(row.role),
        session_id=row.session_id,
        authenticated_at=int(row.authenticated_at.timestamp()),
        name=row.name,
        login=row.login,
        email=row.email,
        email_proven=row.email_proven,
        locale=row.locale,
        time_zone=row.time_zone,
        phone=row.phone,
        postal_address=row.postal_address,
        methods=tuple(row.methods),
    )


class OAuthClient(Base):
    """An application that signs people in here."""

    __tablename__ = "oauth_clients"
    __table_args__ = (CheckConstraint("id_token_alg in ('RS256', 'ES256')", name="id_token_alg_known"),)

    client_id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    secret_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Absent for a public client, and for one that proves itself with a key."""

    jwks: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """Public keys of a client that signs its own proofs (private_key_jwt)."""

    redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(Text))
    post_logout_redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(Text))
    backchannel_logout_uri: Mapped[str | None] = mapped_column(Text)
    grant_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    updated_at: Mapped[Moment]
    origin: Mapped[str] = mapped_column(Text, server_default=text("'settings'"))
    """`settings` for what AUTH_CLIENTS describes, `admin` for what an administrator keeps on a page."""

    third_party: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """Not a part of the exchange: people are asked whether they let it in."""

    audiences: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Services it may call; absent: all for a part of the exchange, none but ourselves for others."""

    without_pkce: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """An administrator allows it: the application's library cannot do PKCE and sends a nonce instead."""

    id_token_alg: Mapped[Algorithm] = mapped_column(Text, server_default=text("'RS256'"))
    """By which algorithm its ID and logout tokens are signed."""

    auth_method: Mapped[str | None] = mapped_column(Text)
    """The one way by which it proves itself, as it registered; absent: any that fits what it has."""

    registration_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Of the token by which a client that registered itself changes its description (RFC 7592)."""

    disabled: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    former_secret_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    former_secret_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """So long the secret before the present one is taken too: both sides need not change at one moment."""


class AuthorizationCode(Base):
    """Proof that a person signed in, to be redeemed once. Used rows stay, so that a replay is noticed."""

    __tablename__ = "authorization_codes"

    code_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_clients.client_id"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sign_on_sessions.id"))
    redirect_uri: Mapped[str] = mapped_column(Text)
    scope: Mapped[str] = mapped_column(Text)
    nonce: Mapped[str | None] = mapped_column(Text)
    code_challenge: Mapped[str | None] = mapped_column(Text)
    """Absent for a client that may do without PKCE; a nonce is there instead."""

    expires_at: Mapped[Moment] = mapped_column(DateTime(timezone=True), index=True)
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    family_id: Mapped[UUID | None] = mapped_column(ForeignKey("token_families.id"))
    resources: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Services that were asked for (RFC 8707); absent: whatever the client may call."""


class Consent(Base):
    """A person lets an application of others in."""

    __tablename__ = "consents"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    client_id: Mapped[str] = mapped_column(
        ForeignKey("oauth_clients.client_id"), primary_key=True, index=True
    )
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    given_at: Mapped[Moment]


class ClientAssertion(Base):
    """A proof that a client has used; each is good once."""

    __tablename__ = "client_assertions"

    client_id: Mapped[str] = mapped_column(Text, primary_key=True)
    jti_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    expires_at: Mapped[Moment] = mapped_column(DateTime(timezone=True), index=True)


class DeviceGrant(Base):
    """A device that waits for a person to let it in (RFC 8628)."""

    __tablename__ = "device_grants"

    device_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_code_digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_clients.client_id"))
    scope: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[Moment] = mapped_column(DateTime(timezone=True), index=True)
    interval_s: Mapped[int]
    """Grows by five seconds each time the device asks too early."""

    polled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    account_id: Mapped[UUID | None]
    session_id: Mapped[UUID | None]
    allowed: Mapped[bool | None]
    """Absent until the person has decided."""

    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    family_id: Mapped[UUID | None]
    resources: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Services that the device asked for (RFC 8707); absent: whatever its application may call."""


class TokenFamily(Base):
    """All refresh tokens that descend from one redeemed code; they end together."""

    __tablename__ = "token_families"

    id: Mapped[Id]
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_clients.client_id"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), index=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sign_on_sessions.id"), index=True)
    scope: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment] = mapped_column(DateTime(timezone=True), index=True)
    """The last member never outlives the first one's end."""

    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_because: Mapped[str | None] = mapped_column(Text)
    resources: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    offline: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """The person let the application act while nobody is signed in: a sign-out leaves the family alone."""


class RefreshToken(Base):
    """One refresh token; used ones stay until the family ends, so that a replay is noticed."""

    __tablename__ = "refresh_tokens"

    token_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family_id: Mapped[UUID] = mapped_column(ForeignKey("token_families.id", ondelete="CASCADE"), index=True)
    issued_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class RevokedAccessToken(Base):
    """An access token that was withdrawn before its end; introspection calls it inactive."""

    __tablename__ = "revoked_access_tokens"

    jti: Mapped[str] = mapped_column(Text, primary_key=True)
    expires_at: Mapped[Moment] = mapped_column(DateTime(timezone=True), index=True)


class SigningKey(Base):
    """A key of ours. The private part is sealed with the setting `secret_key`."""

    __tablename__ = "signing_keys"
    __table_args__ = (CheckConstraint("algorithm in ('ES256', 'RS256')", name="algorithm_known"),)

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    algorithm: Mapped[str] = mapped_column(Text)
    sealed_jwk: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Moment]
    signs_from: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    signs_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When its successor took over; a day later the public part is no longer published."""


class GuessCounter(Base):
    """Failed sign-ins of one account name or one network address. Keys are digests: no personal data."""

    __tablename__ = "guess_counters"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[Moment] = mapped_column(DateTime(timezone=True), index=True)
    waits_until: Mapped[Moment]


class TotpFactor(Base):
    """An authenticator app of one account. The secret is sealed like the signing keys."""

    __tablename__ = "totp_factors"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    sealed_secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Moment]
    confirmed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Absent until the person has shown a first code; an unconfirmed one asks nobody for anything."""

    last_step: Mapped[int] = mapped_column(BigInteger)
    """Time step of the last code that was taken: each step counts once."""


class MailCode(Base):
    """Somebody wants to sign in by a code in a letter; gone with its use."""

    __tablename__ = "mail_codes"

    id: Mapped[Id]
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"))
    """Absent until the letter is written, and for ever where there is no such account."""

    tries: Mapped[int]
    expires_at: Mapped[Moment] = mapped_column(DateTime(timezone=True), index=True)


class Passkey(Base):
    """A key in somebody's device. Only its public half is here."""

    __tablename__ = "passkeys"

    id: Mapped[Id]
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), index=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    """Grows with each use where the device counts; one that goes back tells of a copy."""

    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment]
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class RecoveryCode(Base):
    """A way in for somebody who has lost the authenticator app; good once."""

    __tablename__ = "recovery_codes"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    code_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class PasswordLink(Base):
    """A link in a letter by which somebody sets a password; good once."""

    __tablename__ = "password_links"

    token_digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), index=True)
    purpose: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[Moment] = mapped_column(DateTime(timezone=True), index=True)
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Letter(Base):
    """A letter that the worker has to send. Gone when somebody has taken it."""

    __tablename__ = "letters"

    id: Mapped[Id]
    kind: Mapped[str] = mapped_column(Text)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    """To whom and what: personal, so sealed like the signing keys."""

    locale: Mapped[str] = mapped_column(Text)
    """Language of the page that asked for it; a person's own choice goes before."""

    created_at: Mapped[Moment]
    finished: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Address and text with the link, as they leave; sealed as well."""

    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    """How often it was not taken."""

    due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it is tried again."""


class Application(Base):
    """Somebody asks for an account. Forgotten some weeks after the decision."""

    __tablename__ = "applications"
    __table_args__ = (
        Index("uq_applications_waiting", "email", unique=True, postgresql_where="decided_at is null"),
        Index("ix_applications_decided_at", "decided_at"),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(Text)
    login: Mapped[str] = mapped_column(Text)
    """The one they would like to have."""

    email: Mapped[str] = mapped_column(Text)
    about: Mapped[str] = mapped_column(Text)
    locale: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[Moment]
    decided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    decided_by: Mapped[UUID | None]
    reason: Mapped[str | None] = mapped_column(Text)
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"))
    """Whose account it became; absent while it waits and when it was declined."""


class LogoutNotice(Base):
    """A client that has to be told that a session ended (back-channel logout)."""

    __tablename__ = "logout_notices"

    id: Mapped[Id]
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_clients.client_id"))
    account_id: Mapped[UUID]
    session_id: Mapped[UUID]
    created_at: Mapped[Moment]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[Moment] = mapped_column(DateTime(timezone=True), index=True)


class AuditEntry(Base):
    """Who did what when, for everything that touches security. INSERT and SELECT only."""

    __tablename__ = "audit_log"

    id: Mapped[Id]
    at: Mapped[Moment] = mapped_column(DateTime(timezone=True), index=True)
    act: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[UUID | None]
    """Absent when nobody was signed in, or when the command line acted."""

    account_id: Mapped[UUID | None] = mapped_column(index=True)
    client_id: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
