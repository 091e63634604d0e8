"""Names that the metadata of a JSON Schema reserves: they stay reserved, and no property has them."""

from collections.abc import Iterator, Mapping
from typing import Any

from schema_registry.domain.differences import Difference, Kind
from schema_registry.domain.documents import Document

RESERVED = "confluent:reserved"
"""Property of the metadata with the names, commas between them, as Confluent's registry reads it."""


def reserved_differences(
    original: Mapping[str, Any] | None, update: Document, metadata: Mapping[str, Any] | None
) -> Iterator[Difference]:
    """Names that are reserved no longer, and properties of the update that have a reserved name."""
    before, after = _names(original), _names(metadata)
    for name in sorted(before - after):
        yield Difference(Kind.RESERVED_PROPERTY_REMOVED, name)
    properties = update.contents.get("properties") if isinstance(update.contents, dict) else None
    for name in properties or ():
        if name in after:
            yield Difference(Kind.RESERVED_PROPERTY_CONFLICTS_WITH_PROPERTY, f"#/properties/{name}")


def _names(metadata: Mapping[str, Any] | None) -> set[str]:
    text = str(((metadata or {}).get("properties") or {}).get(RESERVED) or "")
    return {name.strip() for name in text.split(",") if name.strip()}
