"""Tables of the registry."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service_kit.database import NAMING, Moment

NOW = text("clock_timestamp()")


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class Schema(Base):
    """One schema, whatever subjects use it. Its id stands in every record written with it, for ever."""

    __tablename__ = "schemas"
    __table_args__ = (
        UniqueConstraint("context", "guid"),
        Index("ix_schemas_references", "references", postgresql_using="gin"),
    )

    context: Mapped[str] = mapped_column(Text, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, Identity(always=False), primary_key=True)
    guid: Mapped[UUID] = mapped_column(Uuid, index=True)
    """Digest of all that follows: equal schemas share a row."""
    schema_type: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    references: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    details: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """The protocol's `metadata`, a name the mapper keeps for itself."""
    rule_set: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[Moment] = mapped_column(server_default=NOW)


class SubjectVersion(Base):
    """A schema as a numbered version of a subject."""

    __tablename__ = "subject_versions"
    __table_args__ = (ForeignKeyConstraint(["context", "schema_id"], ["schemas.context", "schemas.id"]),)

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    """With its context, as `:.context:name`, unless that is the default one."""
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    context: Mapped[str] = mapped_column(Text)
    schema_id: Mapped[int] = mapped_column(Integer, index=True)
    deleted: Mapped[bool] = mapped_column(server_default=text("false"))
    """Softly: no longer listed, still found by its id, since records may carry it."""
    created_at: Mapped[Moment] = mapped_column(server_default=NOW)


class Setting(Base):
    """What a subject, a context (`:.context:`) or everything is configured to."""

    __tablename__ = "settings"

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    level: Mapped[str | None] = mapped_column(Text)
    mode: Mapped[str | None] = mapped_column(Text)
    others: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    """Further fields of the protocol's configuration, kept and given back."""


class Change(Base):
    """Who changed what: written in the transaction of the change, never altered."""

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[Moment] = mapped_column(server_default=NOW)
    author: Mapped[str] = mapped_column(Text)
    """Id of the account, or `client:` and the name of the program."""
    method: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
