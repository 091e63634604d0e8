"""The registry as a file: everything it holds, ids kept, to be brought into another one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from schema_registry.domain.contexts import DEFAULT, context_of, name_in

FORMAT = 1


class MoveError(Exception):
    """What was to be brought in contradicts what is there, or is no export."""


class MovedReference(BaseModel):
    name: str
    subject: str
    version: int


class MovedVersion(BaseModel):
    """One version of one subject, in the fields of the protocol."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore")

    subject: str
    version: int = Field(ge=1)
    id: int = Field(ge=1)
    guid: UUID | None = None
    schema_type: str = Field(default="AVRO", alias="schemaType")
    text: str = Field(alias="schema")
    references: list[MovedReference] = []
    metadata: dict[str, Any] | None = None
    rule_set: dict[str, Any] | None = Field(default=None, alias="ruleSet")
    deleted: bool = False
    ts: int | None = None
    """When it was registered, milliseconds since 1970."""


class MovedSetting(BaseModel):
    subject: str
    level: str | None = None
    mode: str | None = None
    others: dict[str, Any] = {}


class Export(BaseModel):
    """The whole file."""

    format: int = FORMAT
    settings: list[MovedSetting]
    versions: list[MovedVersion]


@dataclass(frozen=True, slots=True)
class Moved:
    """What an import did."""

    added: int
    known: int
    """Versions that were there already."""
    left_out: list[str]
    """Versions of types that this registry does not keep."""


def into_context(export: Export, context: str) -> Export:
    """The same with every name of the default context moved into another one."""
    if context == DEFAULT:
        return export

    def name(subject: str) -> str:
        return name_in(context, subject) if context_of(subject) == DEFAULT else subject

    return Export(
        settings=[one.model_copy(update={"subject": name(one.subject)}) for one in export.settings],
        versions=[
            one.model_copy(
                update={
                    "subject": name(one.subject),
                    "references": [
                        reference.model_copy(update={"subject": name(reference.subject)})
                        for reference in one.references
                    ],
                }
            )
            for one in export.versions
        ],
    )


def in_order(versions: Iterable[MovedVersion]) -> list[MovedVersion]:
    return sorted(versions, key=lambda one: (one.subject, one.version))
