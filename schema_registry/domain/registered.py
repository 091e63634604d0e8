"""A registered version of a subject, and what a client may send to make one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from schema_registry.domain.documents import Reference
from schema_registry.domain.errors import Code, RegistryError, invalid_version

JSON_TYPE = "JSON"
LATEST = "latest"
VERSION_MAX = 2**31 - 1
SUBJECT_LENGTH_MAX = 255
DEFAULT_CONTEXT = ":.:"
EVERY_CONTEXT = ":*:"


@dataclass(frozen=True, slots=True)
class Registered:
    """One version of one subject with its schema."""

    subject: str
    version: int
    id: int
    guid: UUID
    text: str
    references: tuple[Reference, ...]
    metadata: dict[str, Any] | None
    rule_set: dict[str, Any] | None
    deleted: bool
    created_at: datetime

    def as_json(self) -> dict[str, Any]:
        """The form of the protocol; what is absent must not appear, clients stumble over empty fields."""
        found: dict[str, Any] = {
            "subject": self.subject,
            "version": self.version,
            "id": self.id,
            "guid": str(self.guid),
            "schemaType": JSON_TYPE,
        }
        if self.references:
            found["references"] = [reference.as_json() for reference in self.references]
        if self.metadata is not None:
            found["metadata"] = self.metadata
        if self.rule_set is not None:
            found["ruleSet"] = self.rule_set
        found["schema"] = self.text
        found["ts"] = int(self.created_at.timestamp() * 1000)
        found["deleted"] = self.deleted
        return found


@dataclass(frozen=True, slots=True)
class Candidate:
    """A schema somebody wants registered, looked up or checked."""

    text: str
    schema_type: str = "AVRO"
    references: tuple[Reference, ...] = ()
    metadata: dict[str, Any] | None = None
    rule_set: dict[str, Any] | None = None
    id: int | None = None
    version: int | None = None


def refuse_other_types(schema_type: str) -> None:
    """Refuse what this registry cannot judge, rather than call it compatible."""
    if schema_type != JSON_TYPE:
        raise RegistryError(
            Code.INVALID_SCHEMA,
            f"Invalid schema type {schema_type}: this registry keeps schemas of type {JSON_TYPE} only",
        )


def subject_name(name: str) -> str:
    """The name of a subject in the only context there is."""
    plain = name.removeprefix(DEFAULT_CONTEXT)
    if plain.startswith(":."):
        raise RegistryError(Code.INVALID_SUBJECT, f"The subject '{name}' is in a context; there is only '.'")
    if not plain or len(plain) > SUBJECT_LENGTH_MAX or not plain.isprintable() or plain == "__GLOBAL":
        raise RegistryError(Code.INVALID_SUBJECT, f"The specified subject '{name}' is not a valid.")
    return plain


def version_number(text: str) -> int | None:
    """The number of a version; None for the latest."""
    if text in {LATEST, "-1"}:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:11]) <= VERSION_MAX:
        raise invalid_version(text)
    return int(text)
