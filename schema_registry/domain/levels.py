"""The seven levels of compatibility: which earlier versions a new one must get along with, and how."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from schema_registry.domain.avro_documents import AvroDocument, reading_refusals
from schema_registry.domain.comparison import differences
from schema_registry.domain.documents import Document
from schema_registry.domain.reserving import reserved_differences

if TYPE_CHECKING:
    from schema_registry.domain.protobuf_documents import ProtobufDocument

AnyDocument: TypeAlias = "Document | AvroDocument | ProtobufDocument"

TYPE_CHANGED = (
    '{errorType:"SCHEMA_TYPE_CHANGED", description:"The new schema is of another type than the old one"}'
)


class Level(StrEnum):
    """A promise of a subject to those who write and read its events."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def backward(self) -> bool:
        """Readers with the new schema understand data written with an earlier one."""
        return self.value.startswith(("BACKWARD", "FULL"))

    @property
    def forward(self) -> bool:
        """Readers with an earlier schema understand data written with the new one."""
        return self.value.startswith(("FORWARD", "FULL"))

    @property
    def transitive(self) -> bool:
        """All earlier versions count, not only the latest."""
        return self.value.endswith("TRANSITIVE")


class Mode(StrEnum):
    """What may be done to a subject."""

    READWRITE = "READWRITE"
    READONLY = "READONLY"
    READONLY_OVERRIDE = "READONLY_OVERRIDE"
    IMPORT = "IMPORT"
    FORWARD = "FORWARD"

    @property
    def refuses_writing(self) -> bool:
        return self in {Mode.READONLY, Mode.READONLY_OVERRIDE, Mode.FORWARD}


@dataclass(frozen=True, slots=True)
class Earlier:
    """A version that is registered already."""

    version: int
    document: AnyDocument
    metadata: Mapping[str, Any] | None = None


def incompatibilities(
    level: Level,
    new: AnyDocument,
    earlier: Iterable[Earlier],
    *,
    lenient: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> list[str]:
    """Why `new` with its metadata must not follow the earlier versions, for people; nothing when it may.

    The earlier versions come in their order; without a transitive level only the last one counts.
    """
    if level is Level.NONE:
        return []
    known = sorted(earlier, key=lambda one: one.version, reverse=True)
    for one in known if level.transitive else known[:1]:
        found = _against(level, _Side(new, metadata), _Side(one.document, one.metadata), lenient=lenient)
        if found:
            return [
                *found,
                f"{{oldSchemaVersion: {one.version}}}",
                f"{{oldSchema: '{one.document.text}'}}",
                f"{{validateFields: 'false', compatibility: '{level}'}}",
            ]
    return []


@dataclass(frozen=True, slots=True)
class _Side:
    document: AnyDocument
    metadata: Mapping[str, Any] | None


def _against(level: Level, new: _Side, old: _Side, *, lenient: bool) -> list[str]:
    found = []
    if level.backward:
        found += _reserved(old, new, "new", "old")
        found += _reasons(old.document, new.document, "new", "old", lenient=lenient)
    if level.forward:
        found += _reserved(new, old, "old", "new")
        found += _reasons(new.document, old.document, "old", "new", lenient=lenient)
    return found


def _reserved(original: _Side, update: _Side, update_name: str, original_name: str) -> list[str]:
    """What is wrong with the names that the metadata of JSON Schemas reserves for later."""
    if not isinstance(original.document, Document) or not isinstance(update.document, Document):
        return []
    found = reserved_differences(original.metadata, update.document, update.metadata)
    return [one.message(update_name, original_name) for one in found]


def _reasons(
    original: AnyDocument, update: AnyDocument, update_name: str, original_name: str, *, lenient: bool
) -> list[str]:
    """Why readers of `update` would stumble over data of `original`."""
    if isinstance(original, Document) and isinstance(update, Document):
        return [
            d.message(update_name, original_name)
            for d in differences(original, update, lenient=lenient)
            if not d.compatible
        ]
    if isinstance(original, AvroDocument) and isinstance(update, AvroDocument):
        return reading_refusals(reader=update, writer=original, names=(update_name, original_name))
    if isinstance(original, Document | AvroDocument) or isinstance(update, Document | AvroDocument):
        return [TYPE_CHANGED]
    # A registry that is asked about other types only starts without what Protobuf needs.
    from schema_registry.domain.protobuf_comparison import protobuf_differences  # noqa: PLC0415

    return [
        d.message(update_name, original_name)
        for d in protobuf_differences(original, update)
        if not d.compatible
    ]
