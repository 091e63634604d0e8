"""A registered version of a subject, and what a client may send to make one."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from schema_registry.domain.contexts import DEFAULT, context_of, name_in
from schema_registry.domain.documents import Reference
from schema_registry.domain.errors import invalid_version
from schema_registry.domain.tags import Retagging

JSON_TYPE = "JSON"
AVRO_TYPE = "AVRO"
PROTOBUF_TYPE = "PROTOBUF"
LATEST = "latest"
VERSION_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Registered:
    """One version of one subject with its schema."""

    subject: str
    version: int
    id: int
    guid: UUID
    schema_type: str
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
        }
        # The protocol began with AVRO alone, and older clients still expect it to go unsaid.
        if self.schema_type != AVRO_TYPE:
            found["schemaType"] = self.schema_type
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
    retagging: Retagging = field(default_factory=Retagging)

    def within(self, subject: str) -> "Candidate":
        """The same for a subject of a context: references without a context stay inside of that one."""
        context = context_of(subject)
        if context == DEFAULT or not self.references:
            return self
        inside = tuple(
            replace(
                one, subject=one.subject if one.subject.startswith(":.") else name_in(context, one.subject)
            )
            for one in self.references
        )
        return replace(self, references=inside)


def version_number(text: str) -> int | None:
    """The number of a version; None for the latest."""
    if text in {LATEST, "-1"}:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:11]) <= VERSION_MAX:
        raise invalid_version(text)
    return int(text)
